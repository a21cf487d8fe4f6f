"""What DMAP Optimize does: the ascent from the sockets' values, shown while it runs, rescued when it is stopped."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..dmap import restoration
from ..dmap.degradations import Degradation
from ..dmap.image.regions import Region
from ..dmap.method.ascent import Ascent
from ..dmap.method.judge import warnings
from ..dmap.settings import Settings
from .host import features, images, picture, session


@dataclass(frozen=True)
class Problem:
    """What is climbed.

    Attributes:
        path: with its photograph, and the mask and holes that this knows.
        observed: (B, 3, h', w') in [0, 1], what the fidelity compares with.
        prior, degradation, regions, safeguards: of the sockets.
    """

    path: session.HostPath
    observed: Tensor
    prior: session.HostPrior
    degradation: Degradation | None
    regions: tuple[session.HostRegion, ...]
    safeguards: session.HostSafeguards | None

    def patchers(self) -> tuple[Any, ...]:
        """All patchers of all quality models, each once."""
        parts = [self.prior, *(region.prior for region in self.regions if region.prior is not None)]
        if self.safeguards is not None and self.safeguards.judge is not None:
            parts.append(self.safeguards.judge)
        return session.HostPrior.of(self.prior.prior, *parts).patchers


def prepare(problem: Problem, host: session.Session, vae: Any, node: str, settings: Settings) -> Ascent:
    """The ascent, ready to run.

    Raises:
        UserError: for values out of range, or a prior that cannot be climbed.
    """
    # Clones: what nodes make under inference mode cannot be saved for a backward pass.
    path, device = problem.path.path, host.model.device
    if path.photograph is not None:
        path = replace(path, photograph=path.photograph.mapped(torch.clone))
    if path.mask is not None:
        path = replace(path, mask=path.mask.clone())
    return restoration.prepare(
        host.model,
        path,
        problem.prior.prior,
        settings,
        observed=problem.observed.to(device).clone(),
        degradation=problem.degradation,
        regions=_regions(problem, device, vae, node),
        safeguards=None if problem.safeguards is None else problem.safeguards.safeguards,
    )


def _regions(problem: Problem, device: torch.device, vae: Any, node: str) -> list[Region]:
    terms = []
    for region in problem.regions:
        mask = picture.mask_for(region.mask, problem.path, vae, node, "regions")
        own = problem.prior if region.prior is None else region.prior
        terms.append(Region(own.prior, region.weight, None if mask is None else mask.to(device).clone()))
    return terms


def _line(ascent: Ascent) -> str:
    """Terms of the last iteration and the time left, of the first image."""
    row, total = ascent.trace.rows[-1], ascent.settings.iterations
    judge = f", judge {row.judge[0]:.1f}" if row.judge else ""
    # The last evaluation has no backward pass, the first no change before it: an iteration is their mean.
    left = row.seconds / (row.iteration + 1) * (total - row.iteration)
    return (
        f"iteration {row.iteration} of {total}: objective {row.objective[0]:.2f}, quality {row.prior[0]:.1f}, "
        f"distance {row.fidelity[0]:.4f}{judge}, {_time(left)} left"
    )


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def run(ascent: Ascent, progress: images.Progress, node_id: str | None) -> bool:
    """Climb; whatever ends it early, the best image so far is saved.

    Returns:
        False if the user interrupted it: what it has reached is kept and the graph goes on.
    """

    def show(state: Ascent) -> None:
        progress.update(state.trace.rows[-1].iteration + 1, state.current)
        images.show_text(node_id, "\n".join([_line(state), *state.trace.notes]))

    try:
        ascent.run(show)
    except BaseException as error:  # the host's interrupt is a BaseException in newer versions
        if ascent.image is None:
            raise
        ascent.trace.notes.append("stopped early; " + images.save_rescued(ascent.image, "dmap_best_so_far")[0])
        images.show_text(node_id, ascent.trace.notes[-1])
        if not features.is_interrupt(error):
            raise
        ascent.trace.stopped = ["interrupt" if why == "running" else why for why in ascent.trace.stopped]
        return False
    return True


def summary(ascent: Ascent) -> str:
    """A line an image, and the warnings."""
    lines = []
    for index, best in enumerate(ascent.trace.best_iteration):
        first, row = ascent.trace.rows[0], ascent.trace.rows[best]
        judge = f", judge {first.judge[index]:.1f} -> {row.judge[index]:.1f}" if row.judge else ""
        share = ascent.path.detail
        detail = "" if share is None else f", detail {float(share[index]):.2f}"
        lines.append(
            f"quality {first.prior[index]:.1f} -> {row.prior[index]:.1f}, distance {row.fidelity[index]:.4f}"
            f"{judge}{detail}, best at iteration {best}, stopped by {ascent.trace.stopped[index]}"
        )
    return "\n".join([*lines, *warnings(ascent.trace), *ascent.trace.notes])


_interrupted: Counter[str] = Counter()
KEYS = (
    "iterations",
    "prior_weight",
    "fidelity",
    "fidelity_weight",
    "rule",
    "step_size",
    "target_score",
    "shift",
    "seed",
)


def _key(widgets: dict[str, Any]) -> str:
    return json.dumps([widgets.get(key) for key in KEYS])


def note_interrupt(widgets: dict[str, Any]) -> None:
    """Remember that an ascent with these widgets was cut off, so that the same graph computes it anew."""
    _interrupted[_key(widgets)] += 1


def interrupts(widgets: dict[str, Any]) -> int:
    """How often ascents with these widgets were cut off in this run of the host."""
    return _interrupted[_key(widgets)]
