"""Run a comparison: every photograph by every model, from one start, with one budget, to one fidelity."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Protocol

import torch
from torch import Tensor

from .. import __version__
from ..image.agreement import complaint, disagreement
from ..method.ascent import Ascent, AscentSettings
from ..method.chain import Chain
from ..method.fidelity import fidelity
from ..method.objective import Objective, Terms
from ..priors import Prior, check_gradient
from ..priors.logistic import LogisticMap
from . import kinship
from .folder import Cell, Folder, Input
from .inputs import Photograph, Skipped, checksum, degrade, from_bytes, shown, to_bytes
from .measures import MEASURES, RESEMBLANCE, measure
from .plan import Plan, digest
from .search import search
from .specs import fingerprint, leaves, weights_print


class Engine(Protocol):
    """Where ascents begin: a diffusion model and its autoencoder."""

    @property
    def fingerprint(self) -> str:
        """Stands for the networks' weights."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""

    @property
    def software(self) -> Mapping[str, str]:
        """Versions of what runs the networks, beside those that ``software`` finds; for the record."""

    def start(self, photograph: Tensor) -> str:
        """Stands for what decides the start of a photograph's ascents besides its pixels, the plan and the networks."""

    def chain(self, photograph: Tensor, plan: Plan) -> Chain:
        """The chain whose start is the inverted photograph (1, 3, h, w) in [0, 1]."""


@dataclass(frozen=True)
class Progress:
    """How far a comparison is: ``done`` of ``total`` cells, and what it works on; ``begins`` at the start of a cell."""

    done: int
    total: int
    text: str
    begins: bool = False


class WatchedObjective(Objective):
    """Keeps the last finite image that it was asked about.

    A comparison shows the last image of an ascent, not the best by its own objective: the last one moves steadily with
    the prior weight, while the best jumps from one iteration to another, so that a wanted fidelity could be missed.
    """

    last: Tensor | None = None

    def __call__(self, image: Tensor, iteration: int = 0) -> Terms:
        terms = super().__call__(image, iteration)
        if torch.isfinite(terms.objective).all():
            self.last = image.detach()
        return terms


class Comparison:
    """A comparison of quality models by what they optimise to (arXiv:2403.06406, section 4).

    Args:
        plan: what is compared.
        folder: where results go; finished cells are found there again.
        photographs: what is optimised.
        skipped: files that were left out, for the record.
        models: the plan's priors and judges by their names in the plan, on the engine's device.
        engine: the diffusion model.

    Attributes:
        total: number of cells.
        finished: how many of them are in the folder already.
        warnings: about photographs that do not belong to their starts.

    Raises:
        UserError: if the folder cannot be used, or a model cannot be climbed on the first photograph.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Folder,
        photographs: Sequence[Photograph],
        skipped: Sequence[Skipped],
        models: Mapping[str, Prior],
        engine: Engine,
    ) -> None:
        self.plan, self.folder, self.photographs, self.engine = plan, folder, list(photographs), engine
        self.models = dict(models)
        self.warnings: list[str] = []
        self.prints = {spec: fingerprint(prior) for spec, prior in self.models.items()}
        folder.open(must_exist=False)
        probe = photographs[0].pixels.to(engine.device)
        for spec in plan.priors:
            check_gradient(self.models[spec], probe)
        self._jobs = [
            (photograph, degradation, self._input_key(photograph, degradation))
            for photograph in self.photographs
            for degradation in plan.degradations
        ]
        cells = [cell_key for *_, key in self._jobs for cell_key, *_ in self._cells(key)]
        self._probed = {key for *_, key in self._jobs[: kinship.INPUTS]}
        self.total, self.finished = len(cells), sum(folder.read_cell(key) is not None for key in cells)
        self._software = {**software(), **engine.software}
        folder.write_index(self._index(skipped))

    def _input_key(self, photograph: Photograph, degradation: str) -> str:
        # With the pack's version: another one may climb differently under the same settings.
        start = self.engine.start(photograph.pixels)
        pixels = checksum([photograph.pixels])
        what = [photograph.sha256, pixels, degradation, self.engine.fingerprint, start, __version__]
        return digest([*what, self.plan.method()])

    def _cell_key(self, input_key: str, spec: str, level: float) -> str:
        return digest([input_key, self.prints[spec], level])

    def _cells(self, input_key: str) -> Iterator[tuple[str, float, int, str]]:
        """(key, level, index of the prior, its name) of an input."""
        for level in self.plan.levels:
            for index, spec in enumerate(self.plan.priors):
                yield self._cell_key(input_key, spec, level), level, index, spec

    def _index(self, skipped: Sequence[Skipped]) -> dict[str, Any]:
        return {
            "plan": self.plan.to_json(),
            "software": self._software,
            "engine": self.engine.fingerprint,
            "photographs": [
                {"name": one.name, "sha256": one.sha256, "height": one.pixels.shape[2], "width": one.pixels.shape[3]}
                for one in self.photographs
            ],
            "skipped": [asdict(one) for one in skipped],
            "models": [
                {
                    **asdict(self.models[spec].info),
                    "spec": spec,
                    "fingerprint": self.prints[spec],
                    "parts": leaves(self.models[spec]),
                    "weights": weights_print(self.models[spec]),
                    "score_map": _map_of(self.models[spec]),
                }
                for spec in (*self.plan.priors, *self.plan.judges)
            ],
            "inputs": [key for _, _, key in self._jobs],
            "cells": [key for _, _, input_key in self._jobs for key, *_ in self._cells(input_key)],
        }

    def run(self, callback: Callable[[Progress], None] | None = None) -> None:
        """Make all cells that are not there yet, and all scores. ``callback`` may raise to stop; nothing is lost.

        Raises:
            UserError: if an objective is not finite at the start.
        """
        total, done = self.total, 0
        # Where searches ended, by model, level and degradation, and whatever the degradation.
        weights: dict[tuple[str, float, str | None], float] = {}
        for photograph, degradation, key in self._jobs:
            todo = [cell for cell in self._cells(key) if self.folder.read_cell(cell[0]) is None]
            chain = None
            if todo or self.folder.read_input(key) is None:
                chain = self._start(photograph, degradation, key)
            self._score_input(key)
            for cell_key, level, index, spec in self._cells(key):
                label = f"{photograph.name}, {degradation}, level {level:g}, {spec}"
                if callback is not None:
                    callback(Progress(done, total, label, begins=True))
                if any(cell_key == cell[0] for cell in todo):
                    assert chain is not None
                    report = None if callback is None else self._reporter(callback, done, total, label)
                    first = weights.get((spec, level, degradation), weights.get((spec, level, None), 1.0))
                    self._optimise(chain, key, (cell_key, level, index, spec), first, report)
                found = self.folder.read_cell(cell_key)
                assert found is not None
                # Begin the next photograph's search where this one's ended; cells on disk give the same beginning.
                weights[spec, level, degradation] = weights[spec, level, None] = found[1].weight
                self._score(cell_key, found[0], key)
                done += 1
        if callback is not None:
            callback(Progress(done, total, "done", begins=True))

    @staticmethod
    def _reporter(callback: Callable[[Progress], None], done: int, total: int, label: str) -> Callable[[str], None]:
        return lambda text: callback(Progress(done, total, f"{label}: {text}"))

    def _start(self, photograph: Photograph, degradation: str, key: str) -> Chain:
        """Invert a degraded photograph; writes the input's images."""
        degraded = degrade(photograph, degradation, self.plan.seed)
        with torch.no_grad():
            chain = self.engine.chain(degraded.to(self.engine.device), self.plan)
            start = shown(chain(chain.start())).cpu()
        off = disagreement(start, degraded)
        found = complaint("what the autoencoder gives back is another picture", "check model and VAE", off)
        if found is not None and found not in self.warnings:
            self.warnings.append(f"{photograph.name}: {found}")
        distance = float(fidelity(self.plan.fidelity)(start, degraded))
        images = {"photograph": to_bytes(degraded), "start": to_bytes(start)}
        if degradation != "none":
            images["clean"] = to_bytes(shown(photograph.pixels))
        facts = asdict(Input(key, photograph.name, degradation, distance))
        self.folder.write_images("inputs", key, images, facts)
        return chain

    def _score_input(self, key: str) -> None:
        """Add the scores that are missing of an input's images: a judge may be new to a finished folder."""
        stored = self.folder.read_input(key)
        assert stored is not None
        for name, image in stored[0].items():
            self._score(f"{key}-{name}", image, key)
        if key in self._probed:
            self._compare_gradients(key, stored[0]["start"])

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

    def _optimise(
        self,
        chain: Chain,
        input_key: str,
        cell: tuple[str, float, int, str],
        first: float,
        report: Callable[[str], None] | None,
    ) -> None:
        key, level, index, spec = cell
        plan, stored = self.plan, self.folder.read_input(input_key)
        assert stored is not None
        photograph = from_bytes(stored[0]["photograph"]).to(self.engine.device)
        target = stored[1].start_distance + level
        images: list[Tensor] = []
        began = time.monotonic()

        def ascend(weight: float) -> float:
            objective = WatchedObjective(
                self.models[spec], fidelity(plan.fidelity), photograph, weight, plan.fidelity_weight, plan.shift,
                plan.seed,
            )  # fmt: skip
            # A score of 200 is never reached: every ascent spends its whole budget.
            ascent = Ascent(chain, objective, AscentSettings(plan.iterations, plan.rule, plan.step_size, 200.0))

            def tick(state: Ascent) -> None:
                if report is not None:
                    report(f"weight {weight:.3g}, iteration {state.trace.rows[-1].iteration} of {plan.iterations}")

            # A weight far too high may end in numbers that are not finite; the last image before counts.
            with contextlib.suppress(FloatingPointError):
                ascent.run(tick)
            assert objective.last is not None
            images.append(shown(objective.last))
            return float(fidelity(plan.fidelity)(images[-1], photograph))

        tolerance = plan.tolerance * level
        trials, best = search(ascend, target, tolerance, first, plan.searches, level)
        found = trials[best]
        facts = Cell(
            key=key,
            input=input_key,
            prior=index,
            level=level,
            weight=found.weight,
            distance=found.distance,
            target=target,
            matched=abs(found.distance - target) <= tolerance,
            trials=tuple((trial.weight, trial.distance) for trial in trials),
            seconds=time.monotonic() - began,
            software=", ".join(f"{name} {version}" for name, version in self._software.items()),
        )
        self.folder.write_images("cells", key, {"image": to_bytes(images[best])}, {**asdict(facts), "spec": spec})

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


def _map_of(prior: Prior) -> list[float] | None:
    """(midpoint, slope) of a prior's logistic map; None if its scores are on a scale of their own."""
    found = prior.score_map
    return [found.midpoint, found.slope] if isinstance(found, LogisticMap) else None


def software() -> dict[str, str]:
    """Versions of what computed the results."""
    found = {"comfyui-dmap": __version__, "python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in ("torch", "numpy", "pyiqa", "scipy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
