"""The experiments of arXiv:2403.06406 as comparisons of this pack, as far as the paper's text defines them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..priors import JUDGES, PRIORS, pyiqa_adapter
from ..priors.catalogue import measured
from ..priors.weights import WeightStore, file_name
from .plan import Plan
from .specs import parts_of

EIGHT = (
    "pyiqa:niqe", "pyiqa:dbcnn", "pyiqa:paq2piq", "pyiqa:hyperiqa", "pyiqa:unique", "pyiqa:musiq", "pyiqa:clipiqa+",
    "pyiqa:liqe",
)  # fmt: skip
"""Eight models of different make that pyiqa has; which eight are compared is for the user to say."""
MIXED = ("multiscale(pyiqa:liqe)", "mean(multiscale(pyiqa:liqe), pyiqa:musiq, pyiqa:clipiqa)")
"""MS-LIQE and the authors' hybrid."""
OWN_MIXED = ("multiscale(dmap_quality)", "mean(multiscale(dmap_quality), dmap_nss, dmap_spectrum)")
"""The same of the shipped models."""
LEAST = 2
TARGET, WEIGHT = 90.0, 1.0
"""The authors' released settings: an ascent ends at this score, at this prior weight."""


@dataclass(frozen=True)
class Scale:
    """How large the experiments are made.

    Attributes:
        settings: of the plans.
        pixel_step: step size on pixels.
        pairs: that the study asks about.
    """

    settings: dict[str, Any]
    pixel_step: float
    pairs: int


SCALES = {
    # The authors' released settings (see the preset "paper").
    "paper": Scale(
        {
            "size": 512, "solver": "edict", "steps": 50, "strength": 1.0, "iterations": 50, "fidelity": "nlpd",
            "fidelity_weight": 20.0, "rule": "momentum", "step_size": 2.0, "shift": 0, "levels": (0.03, 0.06),
            "degradations": ("none",),
        },
        2.0, 80,
    ),
    # The same method on the shipped models and degraded photographs: a part of the path, as the shipped net allows.
    "small": Scale(
        {
            "size": 160, "solver": "edict", "steps": 4, "strength": 0.2, "iterations": 10, "fidelity": "nlpd",
            "fidelity_weight": 20.0, "rule": "adam", "step_size": 0.04, "shift": 8, "levels": (0.03, 0.06),
            "degradations": ("mixed",), "searches": 6,
        },
        0.02, 40,
    ),
    # To see that it runs, and for the pack's tests: its figures mean nothing.
    "quick": Scale(
        {
            "size": 96, "solver": "edict", "steps": 1, "strength": 0.2, "iterations": 3, "fidelity": "nlpd",
            "fidelity_weight": 20.0, "rule": "adam", "step_size": 0.04, "shift": 0, "levels": (0.012,),
            "degradations": ("noise",), "searches": 1, "tolerance": 0.95,
        },
        0.01, 4,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """A file that a model needs, and where it comes from."""

    model: str
    file: str
    source: str


CHECKPOINT = Missing(
    "the diffusion model", "a Stable Diffusion 1.x checkpoint, to be named with --checkpoint",
    "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/v1-5-pruned-emaonly-fp16.safetensors",
)  # fmt: skip


def missing(name: str, store: WeightStore) -> list[Missing]:
    """What is not on this machine of a model or a composition."""
    found = []
    for part in parts_of(name):
        metric = part.removeprefix(pyiqa_adapter.PREFIX)
        if not part.startswith(pyiqa_adapter.PREFIX):
            continue
        if not pyiqa_adapter.installed():
            found.append(Missing(part, "the package pyiqa", "pip install pyiqa"))
        known = measured().get(metric)
        urls = () if known is None else known.files
        found += [Missing(part, file_name(url), url) for url in urls if store.find(file_name(url)) is None]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Models:
    """What takes part.

    Attributes:
        climbed: the models compared.
        judges: models that only judge.
        mixed: compositions that are held against their parts.
        missing: files of wanted models that are not here.
    """

    climbed: tuple[str, ...]
    judges: tuple[str, ...]
    mixed: tuple[str, ...]
    missing: tuple[Missing, ...]


def choose(priors: Sequence[str], judges: Sequence[str], store: WeightStore) -> Models:
    """The models that can take part on this machine.

    Args:
        priors: wanted; ``EIGHT`` if there are none, and the shipped ones if fewer than two of those are here.
        judges: wanted; the shipped judge, and PIQE where pyiqa is installed, if there are none.
        store: where weights are.

    Raises:
        UserError: if of the priors that were named fewer than two are here; names the files and their sources.
    """
    wanted = tuple(priors) or EIGHT
    absent = {name: missing(name, store) for name in (*wanted, *MIXED)}
    climbed = tuple(name for name in wanted if not absent[name])
    if len(climbed) < LEAST:
        if priors:
            lines = "; ".join(f"{one.model} needs {one.file} from {one.source}" for one in _all(absent, wanted))
            raise UserError(f"--priors: {len(climbed)} of {len(wanted)} can be used here, two are needed. {lines}")
        climbed = (*PRIORS, *climbed)
    mixed = tuple(name for name in MIXED if not absent[name]) or OWN_MIXED
    here = ("pyiqa:piqe",) if pyiqa_adapter.installed() else ()
    asked = tuple(judges) or (*JUDGES, *here)
    return Models(
        climbed, tuple(name for name in asked if name not in climbed), mixed, tuple(dict.fromkeys(_all(absent, absent)))
    )


def _all(absent: dict[str, list[Missing]], names: Sequence[str] | dict[str, Any]) -> Iterator[Missing]:
    return (one for name in names for one in absent[name])


@dataclass(frozen=True)
class Experiment:
    """One of the paper's.

    Attributes:
        name: of its folder.
        title: of its section.
        about: what the paper does there, and what is done here.
        plan: what is compared.
        photos: folder of photographs.
        mixed: compositions that are held against their parts.
    """

    name: str
    title: str
    about: str
    plan: Plan
    photos: Path
    mixed: tuple[str, ...] = ()


FIXED, EQUAL, PIXELS, MIXTURES, AFTER = "fixed", "equal", "pixels", "mixtures", "post_enhancement"
NAMES = (FIXED, EQUAL, PIXELS, MIXTURES, AFTER)


def experiments(models: Models, scale: Scale, photos: Path, enhanced: Path | None, seed: int) -> list[Experiment]:
    """All of them, in the report's order.

    Args:
        models: that take part.
        scale: of ``SCALES``.
        photos: folder of photographs.
        enhanced: folder with other enhancers' outputs, or with a folder of them for each enhancer; None for none.
        seed: of everything random.
    """
    equal = Plan(priors=models.climbed, judges=models.judges, seed=seed, **scale.settings)
    fixed = replace(equal, levels=equal.levels[:1], fixed_weight=WEIGHT, target_score=TARGET)
    pixels = replace(equal, space="pixels", step_size=scale.pixel_step)
    names = tuple(dict.fromkeys(part for one in models.mixed for part in (one, *parts_of(one, once=True))))
    mixed = replace(
        equal, priors=names, judges=tuple(one for one in (*models.judges, *models.climbed) if one not in names)
    )
    found = [
        Experiment(
            FIXED, "One weight and one target score",
            "The paper climbs each model from the same start with the same weights until its own score, on the common "
            f"scale, reaches {TARGET:g} or the iterations are spent. Outputs are then not equally far from the "
            "photograph: models that are easily pleased stop early.",
            fixed, photos,
        ),
        Experiment(
            EQUAL, "Equal fidelity",
            "Not in the paper: for each model and start the prior weight is searched at which outputs are equally far "
            "from the photograph, so that no model profits from having moved further.",
            equal, photos,
        ),
        Experiment(
            PIXELS, "Pixels against diffusion latents",
            "The paper's first finding: the same ascent on pixels pleases the climbed model and nobody else. Both move "
            "equally far beyond their start (on pixels the photograph, in latents what the autoencoder gives back); "
            "the same models judge both.",
            pixels, photos,
        ),
        Experiment(
            MIXTURES, "A multi-scale model and a mixture against their parts",
            "The paper makes a better prior of the best ones: LIQE at two scales (MS-LIQE), and the mean of it with "
            "others. The question is whether they beat what they are made of, by judges that are in neither.",
            mixed, photos, models.mixed,
        ),
    ]  # fmt: skip
    for folder in enhancers(enhanced):
        plan = replace(
            mixed,
            priors=tuple(dict.fromkeys((*models.mixed, *names)))[:2],
            degradations=("none",),
            levels=mixed.levels[:1],
        )
        others = tuple(one for one in (*mixed.judges, *names) if one not in plan.priors)
        found.append(
            Experiment(
                f"{AFTER}/{folder.resolve().name}", f"After another enhancer: {folder.resolve().name}",
                "The paper goes on from other enhancers' outputs. Here they are the photographs: what is asked is "
                "whether the judges find the result better than what the enhancer gave.",
                replace(plan, judges=others), folder,
            )
        )  # fmt: skip
    return found


def enhancers(folder: Path | None) -> list[Path]:
    """The folder of each enhancer's outputs. Raises UserError if there is none."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise UserError(f"--enhanced: {folder} is not a folder")
    return sorted(one for one in folder.iterdir() if one.is_dir()) or [folder]
