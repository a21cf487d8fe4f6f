"""What is done with one photograph, or a few of one size, in whichever process."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import __version__, fingerprint
from ..batch import Failure, Place, Report, Work
from ..image.files import DEEP, WITHOUT_ALPHA, About, read_photograph, write_picture
from ..memory.plan import is_out_of_memory
from ..method.ascent import Ascent
from ..models.choice import SHIPPED, ModelChoice
from ..models.diffusion import LatentDiffusion
from ..priors import Prior
from ..restoration import Restored, frozen_prior, restore
from ..settings import Settings

Line = dict[str, Any]
"""Of the report: plain data about one photograph."""

HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of writing that the next photograph would meet as well."""


@dataclass(frozen=True)
class RestoreRecipe:
    """How photographs are restored.

    Attributes:
        settings: of each.
        prior: name of the quality model to climb.
        weights: folders with weights of quality models and prior files.
        model: the diffusion model.
    """

    settings: Settings
    prior: str
    weights: tuple[str, ...] = ()
    model: ModelChoice = SHIPPED

    def load(self, device: str) -> tuple[LatentDiffusion, Prior]:
        """The diffusion model and the prior. Raises UserError if one cannot be loaded."""
        return self.model.load(device), frozen_prior(self.prior, device, self.weights)

    def __call__(self, place: Place) -> Work:
        """Load the models and be ready."""
        return _Restorer(self, *self.load(place.device))

    def describe(self) -> dict[str, Any]:
        """All that decides a result beside the photograph, for the report. Loads the models once, for their weights."""
        model, prior = self.load("cpu")
        return {
            "version": __version__,
            "settings": asdict(self.settings),
            "prior": self.prior,
            "prior_weights": fingerprint.of_prior(prior),
            "model": "shipped" if self.model.checkpoint is None else Path(self.model.checkpoint).name,
            "model_weights": fingerprint.of_weights(model.modules),
            "prediction": self.model.prediction,
            "dtype": self.model.dtype,
        }


@dataclass
class _Read:
    """A photograph that is ready to be restored, and its line."""

    image: Tensor
    about: About
    line: Line


class _Restorer:
    """Restores the photographs of a task, which share an ascent where they can."""

    def __init__(self, recipe: RestoreRecipe, model: LatentDiffusion, prior: Prior) -> None:
        self.recipe, self.model, self.prior = recipe, model, prior

    def __call__(self, task: Sequence[dict[str, str]], report: Report) -> list[Line]:
        """Lines for items {"source", "target", "file", "output"}."""
        lines: list[Line] = []
        groups: dict[tuple[int, ...], list[tuple[_Read, str]]] = {}
        for item in task:
            began = time.monotonic()
            line: Line = {"file": item["file"], "output": item["output"]}
            lines.append(line)
            with _failures(line):
                one = self._read(item["source"], item["target"], line)
                groups.setdefault(tuple(one.image.shape), []).append((one, item["target"]))
            line["seconds"] = time.monotonic() - began
        for group in groups.values():
            self._restore([one for one, _ in group], [target for _, target in group], report)
        return lines

    def _read(self, source: str, target: str, line: Line) -> _Read:
        there = os.stat(source)
        line["input"] = {"size": there.st_size, "mtime_ns": there.st_mtime_ns}
        photograph, about = read_photograph(source)
        line["input"]["sha256"] = fingerprint.of_file(source)
        notes, suffix = list(about.notes), Path(target).suffix.lower()
        if photograph.alpha is not None and suffix in WITHOUT_ALPHA:
            notes.append("JPEG holds no alpha channel, it is left out; .png keeps it")
        if about.bits == 16 and suffix not in DEEP:
            notes.append(f"{suffix} holds 8 bits a channel of 16; .png and .tif keep them")
        line["notes"] = notes
        pixels, alpha = photograph.pixels, photograph.alpha
        image = pixels if alpha is None else torch.cat([pixels, alpha], dim=1)
        return _Read(image, about, line)

    def _restore(self, group: list[_Read], targets: list[str], report: Report) -> None:
        """Restore photographs of one size together; if that fails, one after another."""
        began = time.monotonic()

        def tick(ascent: Ascent) -> None:
            report(f"iteration {ascent.trace.rows[-1].iteration} of {self.recipe.settings.iterations}")

        if len(group) > 1:
            together: Restored | None = None
            try:
                together = self._ascend(torch.cat([one.image for one in group]), tick)
            except (ArithmeticError, ValueError, RuntimeError, MemoryError):
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
            if together is None:
                for one, target in zip(group, targets, strict=True):
                    self._restore([one], [target], report)
                return
            seconds = (time.monotonic() - began) / len(group)
            for index, (one, target) in enumerate(zip(group, targets, strict=True)):
                with _failures(one.line):
                    self._hand_over(together, index, one, target)
                one.line["seconds"] += seconds
            return
        with _failures(group[0].line):
            self._hand_over(self._ascend(group[0].image, tick), 0, group[0], targets[0])
        group[0].line["seconds"] += time.monotonic() - began

    def _ascend(self, image: Tensor, tick: Callable[[Ascent], None]) -> Restored:
        return restore(image, self.model, self.recipe.settings, self.prior, callback=tick)

    @staticmethod
    def _hand_over(restored: Restored, index: int, one: _Read, target: str) -> None:
        """Write a result and what is to be said of it."""
        trace, line = restored.trace, one.line
        best = trace.best_iteration[index]
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        try:
            write_picture(restored.image[index : index + 1], target, one.about)
        except OSError as error:
            line["hopeless"] = error.errno in HOPELESS
            raise
        line |= {
            "status": "done",
            "before": {"quality": trace.photograph_prior[index], "distance": 0.0},
            "start": {"quality": trace.rows[0].prior[index], "distance": trace.rows[0].fidelity[index]},
            "after": {"quality": trace.rows[best].prior[index], "distance": trace.rows[best].fidelity[index]},
            "best_iteration": best,
            "stopped": trace.stopped[index],
            "notes": [*line["notes"], *restored.cleaned[index : index + 1], *trace.notes],
        }


@contextlib.contextmanager
def _failures(line: Line) -> Iterator[None]:
    """What breaks within belongs to one photograph, and is its line's error."""
    try:
        yield
    except Exception as error:
        failure = Failure.of(error)
        text = "out of memory; use tiles or a smaller photograph" if is_out_of_memory(error) else failure.text
        line |= {"status": "failed", "error": text}
        if failure.trace:
            line["trace"] = failure.trace
