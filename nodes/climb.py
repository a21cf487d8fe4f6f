"""What DMAP Optimize does: the ascent from the sockets' values, shown while it runs, rescued when it is stopped."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..dmap.degradations import Degradation
from ..dmap.image.detail import with_detail
from ..dmap.image.layout import Layout
from ..dmap.image.regions import Region, on_latent
from ..dmap.image.tiles import lay_out, tiled_fidelity, tiled_prior
from ..dmap.memory.plan import plan_path
from ..dmap.method.ascent import Ascent, AscentSettings
from ..dmap.method.chain import Chain
from ..dmap.method.fidelity import fidelity as make_fidelity
from ..dmap.method.judge import Judge, warnings
from ..dmap.method.latent_prior import LatentPrior
from ..dmap.method.objective import Objective
from ..dmap.priors import Prior, check_gradient
from .host import features, images, picture, session
from .options import HostRegion, Safeguards


@dataclass(frozen=True)
class Problem:
    """What is climbed.

    Attributes:
        path: with the photograph and the mask that it knows.
        photograph: (B, 3, h', w') in [0, 1], what the fidelity compares with.
        prior, degradation, regions, safeguards: of the sockets.
    """

    path: session.HostPath
    photograph: Tensor
    prior: session.HostPrior
    degradation: Degradation | None
    regions: tuple[HostRegion, ...]
    safeguards: Safeguards | None

    def climbed(self) -> list[Prior]:
        """The priors whose gradient is followed, each once."""
        regions = (region.prior.prior for region in self.regions if region.prior is not None and region.weight > 0)
        return list(dict.fromkeys((self.prior.prior, *regions)))

    def patchers(self) -> tuple[Any, ...]:
        """All patchers of all quality models, each once."""
        parts = [self.prior, *(region.prior for region in self.regions if region.prior is not None)]
        if self.safeguards is not None and self.safeguards.judge is not None:
            parts.append(self.safeguards.judge)
        return session.HostPrior.of(self.prior.prior, *parts).patchers


def prepare(problem: Problem, host: session.Session, vae: Any, node: str, widgets: dict[str, Any]) -> Ascent:
    """The ascent, ready to run; the priors' gradients have been checked on the photograph.

    Raises:
        ValueError: for values out of range, or a prior that cannot be climbed.
    """
    assert host.decode is not None
    path, layout, safe = problem.path.path.to(host.device), problem.path.path.layout, problem.safeguards
    # Clones: what nodes make under inference mode cannot be saved for a backward pass.
    y, prior = problem.photograph.to(host.device).clone(), tiled_prior(problem.prior.prior, layout)
    whole = problem.path.photograph
    backdrop = y if whole is None else whole[:, :3].to(host.device).clone().clamp(0, 1)
    mask = None if problem.path.mask is None else problem.path.mask.to(host.device).clone()
    ratio = vae.spacial_compression_decode()
    denoise, decode = lay_out(host.denoise, host.decode, layout, ratio, path.latent, backdrop)
    objective = Objective(
        prior,
        tiled_fidelity(make_fidelity(widgets["fidelity"]), layout),
        y,
        widgets["prior_weight"],
        widgets["fidelity_weight"],
        widgets["shift"],
        widgets["seed"],
        degradation=problem.degradation,
        mask=mask,
        regions=_regions(problem, host, vae, node, prior),
        backdrop=backdrop,
    )
    strategy, note = plan_path(
        str(widgets["gradient"]), path, host.denoise, host.decode, objective, layout.tile // ratio, host.room
    )
    detail = None
    if whole is not None:  # with a known reduction the photograph may be smaller than the picture
        known = None if problem.path.known is None else problem.path.known.to(host.device)
        path, detail = with_detail(path, str(widgets["detail"]), backdrop, decode, known)
    chain = Chain(path, denoise, decode, strategy, host.decode, detail)
    settings = AscentSettings(*(widgets[key] for key in ("iterations", "rule", "step_size", "target_score")))
    ascent = Ascent(
        chain,
        objective,
        settings,
        judge=_judge(safe, layout),
        latent_prior=None if safe is None else LatentPrior(chain.start(), *safe.latent_weights),
        movable=None if mask is None else on_latent(mask, (path.latent.shape[-2], path.latent.shape[-1])),
    )
    ascent.trace.notes.append(note)
    with torch.no_grad():
        ascent.trace.photograph_prior = prior(backdrop).tolist()
    if widgets["prior_weight"] > 0:
        for climbed in problem.climbed():
            side = max(layout.tile, climbed.info.min_size)
            check_gradient(climbed, backdrop[:1, :, :side, :side] if layout.tile else backdrop[:1])
    return ascent


def _regions(problem: Problem, host: session.Session, vae: Any, node: str, prior: Prior) -> list[Region]:
    terms = []
    for region in problem.regions:
        mask = picture.mask_for(region.mask, problem.path, vae, node, "regions")
        own = prior if region.prior is None else tiled_prior(region.prior.prior, problem.path.path.layout)
        terms.append(Region(own, region.weight, None if mask is None else mask.to(host.device).clone()))
    return terms


def _judge(safe: Safeguards | None, layout: Layout) -> Judge | None:
    if safe is None or safe.judge is None:
        return None
    return Judge(tiled_prior(safe.judge.prior, layout), safe.patience, safe.tolerance, safe.keep == "judge")


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
        files = images.save_rescued(ascent.image, "dmap_best_so_far")
        ascent.trace.notes.append(f"stopped early; the best image so far is also in output/{files[0]}")
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
