"""A pairwise study as one page: two outputs beside their photograph, blind and balanced, with catch trials."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from .. import jsonfile
from ..degradations.synthetic import gaussian_blur, gaussian_noise
from ..errors import UserError
from ..fingerprint import digest
from ..output import write_text
from .folder import Folder, read_json, write_json
from .inputs import from_bytes, shown, to_bytes
from .pages import data_uri, page
from .results import Results
from .selection import Pair, candidates, choose

FORMAT, VERSION = "dmap-study", 3
READABLE = (2, 3)
HEADER = ("format", "version")
"""Keys of version 2 know neither fingerprints nor ties; votes may have been gathered with them."""
Found = TypeVar("Found")
PAGE, KEY = "study.html", "study_key.json"
QUESTION = "Which of the two is the better photograph?"
GOOD, BAD = "start", "spoiled"
"""What a catch trial shows: a decoded photograph, and the same blurred and noisy."""


@dataclass(frozen=True)
class Trial:
    """One question.

    Attributes:
        id: as the page and the votes know it.
        kind: "pair", "repeat" (a pair again; the page swaps its sides) or "catch".
        photograph, degradation, level: what is shown.
        a, b: ids of the images.
        model_a, model_b: names of the models, or ``GOOD`` and ``BAD``.
        group: trials of one group have their sides balanced.
    """

    id: str
    kind: str
    photograph: str
    degradation: str
    level: float
    a: str
    b: str
    model_a: str
    model_b: str
    group: int


@dataclass(frozen=True)
class Study:
    """What the researcher keeps: the key to the blind page.

    Attributes:
        id: stands for its content; votes carry it.
        comparison: ``Results.method`` of what is shown.
        models: names of the models compared.
        trials: all questions.
        strategy: how the pairs were chosen.
        seed: of all that is random.
        prints: fingerprints of the models, in their order.
        ties: whether "no difference" is an answer.
    """

    id: str
    comparison: str
    models: tuple[str, ...]
    trials: tuple[Trial, ...]
    strategy: str
    seed: int
    prints: tuple[str, ...] = ()
    ties: bool = False

    @property
    def models_by_name(self) -> dict[str, str]:
        """Name -> fingerprint; empty for a study of an earlier version of the pack, which does not say."""
        return dict(zip(self.models, self.prints, strict=True)) if self.prints else {}


@dataclass(frozen=True)
class Asking:
    """How the page asks.

    Attributes:
        question: above every pair.
        consent: a text that an observer has to agree to before the first pair; "" for none.
        practice: pairs to begin with whose answers are not kept.
        ties: whether "no difference" is an answer; a tie counts as half a win of each.
        breaks: a rest is offered after every so many answers; 0 for none.
    """

    question: str = QUESTION
    consent: str = ""
    practice: int = 0
    ties: bool = False
    breaks: int = 0

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise UserError("question: it is empty; ask something, or leave the option out")
        for name in ("practice", "breaks"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}: got {getattr(self, name)}, at least 0 is needed")


def make(
    results: Results,
    folder: Folder,
    out: Path,
    count: int,
    catches: int,
    repeats: int,
    strategy: str,
    seed: int,
    asking: Asking = Asking(),
) -> Study:
    """Write the page and its key.

    Args:
        results: of the comparison.
        folder: the comparison's, where the images are.
        out: folder for ``study.html`` (to hand out) and ``study_key.json`` (to keep).
        count: pairs to ask about.
        catches: trials with a known answer.
        repeats: pairs that are asked twice.
        strategy: of ``selection.STRATEGIES``.
        seed: of the choice, the order and the sides.
        asking: how the page asks.

    Raises:
        UserError: if there is no pair to show, or a number is out of its range.
    """
    for name, value, least in (("pairs", count, 1), ("catches", catches, 0), ("repeats", repeats, 0)):
        if value < least:
            raise UserError(f"{name}: got {value}, at least {least} is needed")
    contents = [f"{one.input.photograph}/{one.input.degradation}" for one in results.conditions]
    offered = candidates(results)
    pairs = choose(offered, contents, count, strategy, seed)
    images: dict[str, str] = {}
    trials, rows = _trials(results, folder, pairs, images, seed, catches, repeats)
    study = Study(
        "", results.method, tuple(results.names), tuple(trials), strategy, seed, tuple(results.prints.values()),
        asking.ties,
    )  # fmt: skip
    study = replace(study, id=_identity(study))
    out.mkdir(parents=True, exist_ok=True)
    # To practise on: pairs that are not asked about, as long as there are any.
    spare = [pair for pair in choose(offered, contents, len(offered), "random", seed + 2) if pair not in pairs] or pairs
    practice = _trials(results, folder, spare[: asking.practice], images, seed, 0, 0)[1] if asking.practice else []
    data = {
        "study": study.id, "seed": seed, **asdict(asking), "trials": rows, "practice": practice, "images": images,
    }  # fmt: skip
    # The key first: a page without one could never be evaluated.
    write_json(out / KEY, {"format": FORMAT, "version": VERSION, **asdict(study)})
    write_text(out / PAGE, page("study", "Image comparison study", ["zoom.js", "study.js"], data))
    return study


def _identity(study: Study) -> str:
    """Stands for all but the id itself."""
    content = {name: value for name, value in asdict(study).items() if name != "id"}
    if not study.prints:
        del content["prints"], content["ties"]
    return digest(content)


def _trials(
    results: Results, folder: Folder, pairs: list[Pair], images: dict[str, str], seed: int, catches: int, repeats: int
) -> tuple[list[Trial], list[dict[str, Any]]]:
    """The trials with their images' ids, and what the page is told of them."""
    random = np.random.default_rng(seed + 1)
    again = random.permutation(len(pairs))[:repeats].tolist()
    models = len(results.names)
    shown_pairs = [("pair", pair) for pair in pairs] + [("repeat", pairs[index]) for index in again]
    trials: list[Trial] = []
    rows: list[dict[str, Any]] = []

    def add(kind: str, condition: int, sides: list[tuple[str, Tensor]], group: int) -> None:
        found = results.conditions[condition]
        (name_a, image_a), (name_b, image_b) = sides
        trial = Trial(
            f"t{len(trials):03d}", kind, found.input.photograph, found.input.degradation, found.level,
            _image(images, image_a, seed), _image(images, image_b, seed), name_a, name_b, group,
        )  # fmt: skip
        trials.append(trial)
        reference = _image(images, _there(folder.read_input(found.input.key), folder)[0]["photograph"], seed)
        rows.append({"id": trial.id, "group": group, "input": reference, "a": trial.a, "b": trial.b})

    for kind, pair in shown_pairs:
        cells = results.conditions[pair.condition].cells
        sides = []
        for model in (pair.first, pair.second):
            cell = cells[model]
            assert cell is not None  # candidates are matched
            sides.append((results.names[model], _there(folder.read_cell(cell.key), folder)[0]))
        add(kind, pair.condition, sides, pair.first * models + pair.second)
    # Spread over the chosen conditions, so that catch trials look like all others.
    places = random.permutation([pair.condition for pair in pairs])
    for number in range(catches):
        condition = int(places[number % len(places)])
        good = _there(folder.read_input(results.conditions[condition].input.key), folder)[0]["start"]
        add("catch", condition, [(GOOD, good), (BAD, _spoiled(good, seed + number))], models * models)
    return trials, rows


def _image(images: dict[str, str], image: Tensor, seed: int) -> str:
    """An id that says nothing of what the image is."""
    name = "i" + digest([seed, image.flatten().tolist()[:: max(1, image.numel() // 4096)], list(image.shape)])[:12]
    images.setdefault(name, data_uri(image))
    return name


def _there(found: Found | None, folder: Folder) -> Found:
    if found is None:
        raise UserError(f"comparison {folder.path}: an image is missing or damaged; run the comparison again")
    return found


def _spoiled(image: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return to_bytes(shown(gaussian_noise(gaussian_blur(from_bytes(image), 2.5), 25 / 255, generator)))


def read_key(file: Path) -> Study:
    """Read a study's key. Raises UserError if it is missing, damaged or of another version."""
    content = read_json(file, "study key", "make the study again")
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") not in READABLE:
        raise UserError(f"study key {file.name}: it is not one of this version of the pack; name {KEY} of the study")
    try:
        study = jsonfile.shaped(Study, {key: value for key, value in content.items() if key not in HEADER})
        if study.prints and len(study.prints) != len(study.models):
            raise UserError("it has not one print a model")
    except UserError as error:
        raise UserError(f"study key {file.name}: it is damaged ({error}); make the study again") from error
    if _identity(study) != study.id:
        raise UserError(f"study key {file.name}: it was changed after it was made; make the study again")
    return study
