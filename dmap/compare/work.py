"""The cells of a comparison, each by itself: what a worker does, in whichever process."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..batch import Place, Report, Work
from ..fingerprint import of_prior
from ..method.ascent import Ascent
from ..method.fidelity import fidelity
from ..method.path import LatentPath
from ..models.choice import ModelChoice
from ..models.diffusion import LatentDiffusion
from ..priors import Prior
from ..restoration import prepare
from . import kinship, specs
from .engine import ModelEngine
from .folder import Cell, Folder, Input
from .inputs import Photograph, degrade, from_bytes, read, shown, to_bytes
from .measures import MEASURES, RESEMBLANCE, measure
from .plan import Plan
from .search import Trial, search


class Engine(Protocol):
    """Where ascents begin: a diffusion model and its paths."""

    @property
    def fingerprint(self) -> str:
        """Stands for the networks' weights."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""

    @property
    def software(self) -> Mapping[str, str]:
        """Versions of what runs the networks, beside those that ``software`` finds; for the record."""

    @property
    def model(self) -> LatentDiffusion:
        """The diffusion model."""

    def start(self, photograph: Tensor) -> str:
        """Stands for what decides the start of a photograph's ascents besides its pixels, the plan and the networks."""

    def path(self, photograph: Tensor, plan: Plan) -> LatentPath:
        """The inverted photograph (1, 3, h, w) in [0, 1]."""


@dataclass(frozen=True)
class InputTask:
    """Degrade and invert a photograph, and score it.

    Attributes:
        key: of the input.
        photograph: its name.
        degradation: of ``DEGRADATIONS``.
        probed: whether the models' gradients are compared there.
    """

    key: str
    photograph: str
    degradation: str
    probed: bool


@dataclass(frozen=True)
class CellTask:
    """Climb a model from an input to a fidelity, unless that is done, and score the result.

    Attributes:
        key: of the cell.
        input: key of its input.
        label: for people.
        degradation: of its input.
        prior: index into the plan's priors.
        level: how far to go from the photograph.
        first: prior weight to begin the search with.
    """

    key: str
    input: str
    label: str
    degradation: str
    prior: int
    level: float
    first: float


class Cells:
    """Does the tasks of a comparison; all results go into its folder, each file is written by one task alone.

    Args:
        plan: what is compared.
        folder: where results go.
        models: the plan's priors and judges by their names in the plan, on the engine's device.
        prints: what stands for each of them.
        engine: the diffusion model.
        photograph: from a photograph's name to it.
        software: versions, for the record.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Folder,
        models: Mapping[str, Prior],
        prints: Mapping[str, str],
        engine: Engine,
        photograph: Callable[[str], Photograph],
        software: Mapping[str, str],
    ) -> None:
        self.plan, self.folder, self.models, self.prints, self.engine = plan, folder, models, prints, engine
        self._photograph, self._software = photograph, software
        self._input = ""
        self._path: LatentPath | None = None
        self._ascents: dict[str, Ascent] = {}

    def __call__(self, task: InputTask | CellTask, report: Report) -> float | None:
        """Do a task; returns the prior weight that was found for a cell."""
        if isinstance(task, InputTask):
            if self.folder.read_input(task.key) is None:
                self._start(task)
            self._score_input(task)
            return None
        found = self.folder.read_cell(task.key)
        if found is None:
            self._optimise(task, report)
            found = self.folder.read_cell(task.key)
        assert found is not None
        self._score(task.key, found[0], task.input)
        return found[1].weight

    def _ascent(self, key: str, degraded: Tensor, spec: str) -> Ascent:
        """The ascent of a model from an input, not run; those of the last input are kept."""
        if self._input != key:
            self._input, self._ascents = key, {}
            self._path = self.engine.path(degraded, self.plan)
        if spec not in self._ascents:
            assert self._path is not None
            self._ascents[spec] = prepare(self.engine.model, self._path, self.models[spec], self.plan.settings())
        return self._ascents[spec]

    def _start(self, task: InputTask) -> None:
        """Invert a degraded photograph; writes the input's images."""
        photograph = self._photograph(task.photograph)
        degraded = degrade(photograph, task.degradation, self.plan.seed)
        chain = self._ascent(task.key, degraded.to(self.engine.device), self.plan.priors[0]).chain
        with torch.no_grad():
            start = shown(chain(chain.start())).cpu()
        distance = float(fidelity(self.plan.fidelity)(start, degraded))
        images = {"photograph": to_bytes(degraded), "start": to_bytes(start)}
        if task.degradation != "none":
            images["clean"] = to_bytes(shown(photograph.pixels))
        facts = asdict(Input(task.key, photograph.name, task.degradation, distance))
        self.folder.write_images("inputs", task.key, images, facts)

    def _score_input(self, task: InputTask) -> None:
        """Add the scores that are missing of an input's images: a judge may be new to a finished folder."""
        stored = self.folder.read_input(task.key)
        assert stored is not None
        for name, image in stored[0].items():
            self._score(f"{task.key}-{name}", image, task.key)
        if task.probed:
            self._compare_gradients(task.key, stored[0]["start"])

    def _compare_gradients(self, key: str, start: Tensor) -> None:
        """Write the cosines of all models' gradients at a start, unless they are there."""
        known = self.folder.read_scores(f"{key}-cosines")
        prints = list(self.prints.values())
        climbed = [self.prints[spec] for spec in self.plan.priors]
        asked = [kinship.pair(one, other) for one in climbed for other in prints if one != other]
        if any(pair not in known for pair in asked):
            image = from_bytes(start).to(self.engine.device)
            models = {self.prints[spec]: model for spec, model in self.models.items()}
            without = dict.fromkeys(asked, 0.0)  # a model without a gradient agrees with none
            self.folder.write_scores(f"{key}-cosines", {**known, **without, **kinship.cosines(models, image)})

    def _optimise(self, task: CellTask, report: Report) -> None:
        plan, stored = self.plan, self.folder.read_input(task.input)
        assert stored is not None
        spec = plan.priors[task.prior]
        photograph = from_bytes(stored[0]["photograph"]).to(self.engine.device)
        target = stored[1].start_distance + task.level
        images: list[Tensor] = []
        began = time.monotonic()
        prepared = self._ascent(task.input, photograph, spec)

        def ascend(weight: float) -> float:
            objective = copy.copy(prepared.objective)
            objective.prior_weight = weight
            ascent = Ascent(prepared.chain, objective, prepared.settings)

            def tick(state: Ascent) -> None:
                report(f"weight {weight:.3g}, iteration {state.trace.rows[-1].iteration} of {plan.iterations}")

            # A weight far too high may end in numbers that are not finite; the last image before counts. It is the
            # last one and not the best that counts anyway: it moves steadily with the weight, while the best jumps
            # from one iteration to another, so that a wanted fidelity could be missed.
            with contextlib.suppress(FloatingPointError):
                ascent.run(tick)
            assert ascent.current is not None
            images.append(shown(ascent.current))
            return float(fidelity(plan.fidelity)(images[-1], photograph))

        tolerance = plan.tolerance * task.level
        if plan.fixed_weight:
            trials, best = [Trial(plan.fixed_weight, ascend(plan.fixed_weight))], 0
        else:
            trials, best = search(ascend, target, tolerance, task.first, plan.searches, task.level)
        found = trials[best]
        facts = Cell(
            key=task.key,
            input=task.input,
            prior=task.prior,
            level=task.level,
            weight=found.weight,
            distance=found.distance,
            target=target,
            matched=bool(plan.fixed_weight) or abs(found.distance - target) <= tolerance,
            trials=tuple((trial.weight, trial.distance) for trial in trials),
            seconds=time.monotonic() - began,
            software=", ".join(f"{name} {version}" for name, version in self._software.items()),
        )
        self.folder.write_images("cells", task.key, {"image": to_bytes(images[best])}, {**asdict(facts), "spec": spec})

    def _score(self, key: str, image: Tensor, input_key: str) -> None:
        """Add the scores that are missing of an 8-bit image."""
        scores = self.folder.read_scores(key)
        missing = [spec for spec in self.models if self.prints[spec] not in scores]
        stored = self.folder.read_input(input_key)
        assert stored is not None
        against: dict[str, tuple[str, str]] = {}  # name: what it is, and what the image is held against
        if "clean" in stored[0] and not key.endswith("-clean"):
            against = {name: (name, "clean") for name in MEASURES}
        if key.partition("-")[0] != input_key:
            against.update({name: (kind, "photograph") for name, kind in RESEMBLANCE.items()})
        if not missing and all(name in scores for name in against):
            return
        pixels = from_bytes(image)
        with torch.no_grad():
            for spec in missing:
                scores[self.prints[spec]] = float(self.models[spec](pixels.to(self.engine.device)))
        for name, (kind, reference) in against.items():
            value = measure(kind, pixels, from_bytes(stored[0][reference]))
            if value is not None:
                scores[name] = value
        self.folder.write_scores(key, scores)


@dataclass(frozen=True)
class CellRecipe:
    """Makes ``Cells`` in another process.

    Attributes:
        plan: what is compared.
        folder: of the comparison.
        photographs: folder of photographs.
        weights: folders with weights of quality models and prior files.
        model: the diffusion model.
        software: versions, for the record.
    """

    plan: Plan
    folder: str
    photographs: str
    weights: Sequence[str]
    model: ModelChoice
    software: Mapping[str, str]

    def __call__(self, place: Place) -> Work:
        """Load the models and be ready."""
        engine = ModelEngine(self.model, place.device, self.plan.space)
        models = specs.build_all(self.plan, [Path(one) for one in self.weights], engine.device)
        prints = {spec: of_prior(prior) for spec, prior in models.items()}

        def photograph(name: str) -> Photograph:
            return read(Path(self.photographs) / name, self.plan.size, engine.multiple)

        work: Callable[[Any, Report], Any] = Cells(
            self.plan, Folder(Path(self.folder)), models, prints, engine, photograph, self.software
        )
        return work
