"""Run a comparison: every photograph by every model, from one start, with one budget, to one fidelity."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from .. import __version__
from ..batch import Executor, Failure, Recipe, Serial, exclusive
from ..errors import UserError
from ..fingerprint import checksum, digest, of_prior
from ..image.agreement import complaint, disagreement
from ..priors import Prior, check_gradient
from ..priors.logistic import LogisticMap
from . import kinship
from .folder import Folder
from .inputs import Photograph, Skipped, from_bytes
from .plan import Plan
from .specs import leaves, weights_print
from .work import Cells, CellTask, Engine, InputTask


@dataclass(frozen=True)
class Progress:
    """How far a comparison is: ``done`` of ``total`` cells, and what it works on; ``begins`` at the start of a cell."""

    done: int
    total: int
    text: str
    begins: bool = False


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
        software: versions of what makes the results.

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
        self.prints = {spec: of_prior(prior) for spec, prior in self.models.items()}
        folder.open(must_exist=False)
        probe = photographs[0].pixels.to(engine.device)
        for spec in plan.priors:
            check_gradient(self.models[spec], probe)
        self._jobs = [
            (photograph, degradation, self._input_key(photograph, degradation))
            for photograph in self.photographs
            for degradation in plan.degradations
        ]
        self._cells_of = {key: list(self._cells(key)) for *_, key in self._jobs}
        keys = [cell_key for cells in self._cells_of.values() for cell_key, *_ in cells]
        self._there = {key for key in keys if folder.read_cell(key) is not None}
        self._probed = {key for *_, key in self._jobs[: kinship.INPUTS]}
        self.total, self.finished = len(keys), len(self._there)
        self.software = {**software(), **engine.software}
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
            "software": self.software,
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
            "cells": [key for cells in self._cells_of.values() for key, *_ in cells],
        }

    def run(
        self,
        callback: Callable[[Progress], None] | None = None,
        executor: Executor | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        """Make all cells that are not there yet, and all scores. ``callback`` may raise to stop; nothing is lost.

        Inputs come first, then the cells of the first photograph, at whose weights the searches of all others begin:
        results do not depend on who makes which cell. A cell that fails does not keep the others from being made.

        Args:
            callback: is told how far it is.
            executor: where the work is done; this process by default.
            recipe: makes the work for executors elsewhere; this process works with the models that it has.

        Raises:
            UserError: if another run is at work on the folder, or a cell failed, with the first one's reason.
        """
        named = {one.name: one for one in self.photographs}
        work = Cells(self.plan, self.folder, self.models, self.prints, self.engine, named.__getitem__, self.software)
        place = Serial() if executor is None else executor
        make: Recipe = (lambda _: work) if recipe is None else recipe
        done, failures = self.finished, list[Failure]()
        ends: dict[tuple[int, float, str], float] = {}

        def told(task: InputTask | CellTask, text: str) -> None:
            if callback is None:
                return
            label = task.label if isinstance(task, CellTask) else f"{task.photograph}, {task.degradation}"
            begins = not text
            callback(Progress(done, self.total, label if begins else f"{label}: {text}", begins))

        with exclusive(self.folder.path):
            inputs, lost = [self._input_task(*job) for job in self._jobs], set()
            for outcome in place.run(make, inputs, told):
                if outcome.failure is not None:
                    failures.append(outcome.failure)
                    lost.add(outcome.task.key)
            each = len(self.plan.degradations)
            for jobs in (self._jobs[:each], self._jobs[each:]):
                cells = [task for job in jobs if job[2] not in lost for task in self._cell_tasks(*job, ends)]
                for outcome in place.run(make, cells, told):
                    task = outcome.task
                    if outcome.failure is not None:
                        failures.append(outcome.failure)
                    else:
                        ends.setdefault((task.prior, task.level, task.degradation), outcome.result)
                        done += task.key not in self._there
        if failures:
            error = failures[0].exception()
            if len(failures) == 1:
                raise error
            raise UserError(f"{len(failures)} cells failed, the others are made; the first: {error}") from error
        if callback is not None:
            callback(Progress(done, self.total, "done", begins=True))

    def warnings(self) -> list[str]:
        """About photographs whose starts show something else: they do not belong to model and autoencoder."""
        found = []
        for photograph, degradation, key in self._jobs:
            stored = self.folder.read_input(key)
            if stored is not None:
                off = disagreement(from_bytes(stored[0]["start"]), from_bytes(stored[0]["photograph"]))
                what = f"{photograph.name}, {degradation}: what the autoencoder gives back is another picture"
                found.append(complaint(what, "check model and VAE", off))
        return [text for text in found if text is not None]

    def _input_task(self, photograph: Photograph, degradation: str, key: str) -> InputTask:
        return InputTask(key, photograph.name, degradation, key in self._probed)

    def _cell_tasks(
        self, photograph: Photograph, degradation: str, key: str, ends: Mapping[tuple[int, float, str], float]
    ) -> Iterator[CellTask]:
        """The cells of an input; their searches begin where those of the first photograph ended."""
        for cell_key, level, index, spec in self._cells_of[key]:
            label = f"{photograph.name}, {degradation}, level {level:g}, {spec}"
            yield CellTask(cell_key, key, label, degradation, index, level, ends.get((index, level, degradation), 1.0))


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
