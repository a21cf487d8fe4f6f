"""From a photograph to the restored one: invert, ascend, finish.

The nodes, the command and ``restore`` are the same calls in this order:

    photograph, notes = cleaned(photograph, settings)
    ascent = begin(model, photograph, prior, settings)  # encodes, then calls invert and prepare
    ascent.run()
    image, latent = finish(model, ascent.path, settings)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from .degradations import Composed, Degradation, Inpaint
from .errors import UserError
from .image.agreement import complaint, disagreement
from .image.cleaning import clean
from .image.detail import with_detail
from .image.files import About, photograph_of, read_photograph, write_picture
from .image.finish import return_detail, transfer_colour
from .image.layout import Layout
from .image.photograph import Photograph
from .image.regions import Region, blend, feathered, on_latent
from .image.tiles import lay_out, tiled_denoiser, tiled_fidelity, tiled_prior
from .memory.plan import plan_path
from .method.ascent import Ascent, AscentSettings
from .method.chain import Chain
from .method.fidelity import fidelity
from .method.judge import Judge
from .method.latent_prior import LatentPrior
from .method.objective import Objective
from .method.path import LatentPath
from .method.solvers import make_solver, round_trip_error
from .method.trace import Trace
from .models.diffusion import LatentDiffusion, shipped
from .priors import CAREFUL, Prior, WeightStore, check_gradient, load_prior
from .settings import Settings, Value

DEFAULT = Settings()
DEFAULT_PRIOR = "dmap_policy"
NEEDS_PHOTOGRAPH = "it needs the photograph, which this path does not know"


@dataclass(frozen=True)
class Safeguards:
    """Against results that please the prior and nobody else.

    Attributes:
        judge: a quality model that is only asked; it stops an image that it finds worse for too long.
        patience, tolerance, keep: of ``Judge``; ``keep`` is "objective" or "judge", whose best iterate is kept.
        latent_norm_weight, whiteness_weight: of ``LatentPrior``.
    """

    judge: Prior | None = None
    patience: int = 3
    tolerance: float = 1.0
    keep: str = "objective"
    latent_norm_weight: float = 0.0
    whiteness_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.keep not in ("objective", "judge"):
            raise UserError(f"keep: got {self.keep!r}, choose objective or judge")
        if self.keep == "judge" and self.judge is None:
            raise UserError("keep: 'judge' needs a judge; give a quality model other than the prior")


def layout_of(settings: Settings, photograph: Photograph) -> Layout:
    """How a photograph lies on the latent grid, and the tiles that the settings want."""
    return photograph.layout(settings.tile, settings.overlap or settings.tile // 8)


def cleaned(photograph: Photograph, settings: Settings = DEFAULT) -> tuple[Photograph, tuple[str, ...]]:
    """The photograph without the noise and the blocks that are found in it, if the settings want it so.

    Where its mask is 0 it stays as it is.

    Returns:
        It, and what was found in each image, in words.
    """
    if settings.clean == "off":
        return photograph, ()
    found = clean(photograph.shown)
    pixels = blend(photograph.mask, found.image, photograph.pixels)
    return replace(photograph, pixels=pixels), tuple(f"cleaned: {note}" for note in found.notes)


def invert(
    model: LatentDiffusion,
    latent: Tensor,
    settings: Settings = DEFAULT,
    photograph: Photograph | None = None,
    layout: Layout | None = None,
    tick: Callable[[int, int], None] | None = None,
    measured: bool = True,
) -> tuple[LatentPath, float]:
    """Walk a clean latent along the model's probability-flow ODE into the noise.

    Args:
        model: the diffusion model.
        latent: (B, C, H, W), clean, in the model's scale.
        settings: those of the stage "invert" count.
        photograph: what was encoded, if it is known.
        layout: how the picture lies on the latent grid; of the photograph and the settings by default.
        tick: is told after each network call how many of how many are done.
        measured: False leaves the round trip to the caller, who asks ``round_trip`` of a model that is opened anew.

    Returns:
        The path, on the model's device, and the largest relative error of its round trip; NaN if that is not measured.

    Raises:
        UserError: if the round trip is off by more than ``max_error``, or the schedule is impossible.
    """
    if layout is None:
        layout = Layout() if photograph is None else layout_of(settings, photograph)
    schedule = model.schedule(settings.steps, settings.strength)
    solver = make_solver(settings.solver)
    total = solver.inversion_evaluations(schedule.steps) + measured * solver.evaluations * schedule.steps
    with torch.no_grad():
        path = solver.invert(_counted(model, layout, total, tick), schedule, latent, layout, photograph)
    if not measured:
        return path, float("nan")
    after = None if tick is None else lambda done, ours: tick(done + total - ours, total)
    error = round_trip(model, path, after)
    check_round_trip(error, settings.max_error)
    return path, error


def _counted(
    model: LatentDiffusion, layout: Layout, total: int, tick: Callable[[int, int], None] | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """The model's denoiser by a layout's tiles, whose calls are counted out loud."""
    tiled, done = tiled_denoiser(model.denoise, layout.tile // model.multiple, layout.overlap // model.multiple), 0

    def denoise(u: Tensor, sigma: Tensor) -> Tensor:
        nonlocal done
        result = tiled(u, sigma)
        done += 1
        if tick is not None:
            tick(done, total)
        return result

    return denoise


def round_trip(model: LatentDiffusion, path: LatentPath, tick: Callable[[int, int], None] | None = None) -> float:
    """Largest relative error in a batch of sampling the inverted photograph again.

    Args:
        model: the one that made the path, or that is to continue it.
        path: of ``invert``, or of an ascent: what was inverted counts.
        tick: as of ``invert``.
    """
    start = path.at(0.0).to(model.device)
    solver = make_solver(start.solver)
    with torch.no_grad():
        denoise = _counted(model, start.layout, solver.evaluations * start.schedule.steps, tick)
        return float(round_trip_error(solver, denoise, start).max())


def check_round_trip(error: float, max_error: float) -> None:
    """Raise UserError if a round trip is off by more than ``max_error``."""
    if not error <= max_error:
        raise UserError(
            f"max_error: the round trip is off by {error:.2g} of the latent's size, more than max_error = "
            f"{max_error:g}. Use the solver residual_ddim, a smaller strength or more steps (edict), or "
            "raise it"
        )


def prepare(
    model: LatentDiffusion,
    path: LatentPath,
    prior: Prior,
    settings: Settings = DEFAULT,
    *,
    observed: Tensor | None = None,
    degradation: Degradation | None = None,
    regions: Sequence[Region] = (),
    safeguards: Safeguards | None = None,
) -> Ascent:
    """The ascent of the MAP objective from a path, ready to run.

    Args:
        model: the one that made the path.
        path: of ``invert``, or of an earlier ascent.
        prior: frozen, on the model's device.
        settings: those of the stage "ascend" count.
        observed: y, (B, 3, h', w') in [0, 1], what the fidelity compares with; the path's photograph by default.
        degradation: A, if it is known: the fidelity compares A(x) with y. Holes of the photograph join it.
        regions: with weights or priors of their own, their masks on the model's device.
        safeguards: against fooling the prior.

    Raises:
        UserError: for a path without a photograph and nothing observed, or a prior that cannot be climbed.
        MemoryError: if not even a part of an iteration fits into memory.
    """
    path, layout = _masked(path.to(model.device)), path.layout
    photograph = path.photograph
    if observed is None and photograph is None:
        raise UserError(f"image: {NEEDS_PHOTOGRAPH}; give what the fidelity is to compare with")
    backdrop = photograph.shown if photograph is not None else observed
    assert backdrop is not None
    mask = None if photograph is None else photograph.mask
    movable = path.mask if photograph is None else mask
    tiled = tiled_prior(prior, layout)

    def careful(one: Prior) -> float:
        return one.info.careful_weight if settings.scale == "common" else CAREFUL

    objective = Objective(
        tiled,
        tiled_fidelity(fidelity(settings.fidelity), layout),
        backdrop if observed is None else observed.to(model.device),
        settings.prior_weight,
        settings.fidelity_weight * (careful(prior) / CAREFUL),
        settings.shift,
        settings.seed,
        degradation=_with_holes(degradation, photograph),
        mask=mask,
        regions=[
            replace(
                region,
                prior=tiled if region.prior is prior else tiled_prior(region.prior, layout),
                # The fidelity has one weight: a model with longer gradients than the prior's counts for less.
                weight=region.weight * (careful(prior) / careful(region.prior)),
            )
            for region in regions
        ],
        backdrop=backdrop,
    )
    decision = plan_path(
        settings.gradient,
        path,
        model.denoising(),
        model.decoding(),
        objective,
        layout.tile // model.multiple,
        model.free,
        model.keeps,
    )
    denoising = decision.denoising or model.denoising()
    denoise, decode = lay_out(denoising, decision.decoding, layout, model.multiple, path.latent, backdrop)
    with torch.no_grad():
        decoded = decode(path.latent)
    detail = None
    if photograph is not None:
        path, detail = with_detail(path, settings.detail, photograph, lambda _: decoded)
    chain = Chain(path, denoise, decode, decision.strategy, decision.decoding, detail, denoising)
    ascent = Ascent(
        chain,
        objective,
        AscentSettings(settings.iterations, settings.rule, settings.step_size, settings.target_score),
        judge=_judge(safeguards, layout),
        latent_prior=None
        if safeguards is None
        else LatentPrior(chain.start(), safeguards.latent_norm_weight, safeguards.whiteness_weight),
        movable=None if movable is None else on_latent(movable, (path.latent.shape[-2], path.latent.shape[-1])),
    )
    ascent.trace.memory = decision.note
    ascent.trace.notes += _disagreements(decoded, photograph, objective)
    warning = decision.strategy.warning(chain.solver, path.schedule)
    if warning is not None:
        ascent.trace.notes.append(warning)
    with torch.no_grad():
        ascent.trace.photograph_prior = tiled(backdrop).tolist()
    if settings.prior_weight > 0:
        for climbed in dict.fromkeys((prior, *(region.prior for region in regions if region.weight > 0))):
            side = max(layout.tile, climbed.info.min_size)
            check_gradient(climbed, backdrop[:1, :, :side, :side] if layout.tile else backdrop[:1])
    return ascent


def begin(
    model: LatentDiffusion,
    photograph: Photograph,
    prior: Prior,
    settings: Settings = DEFAULT,
    degradation: Degradation | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> Ascent:
    """The ascent of a photograph, ready to run: encoded, inverted, prepared.

    Args and errors are those of ``invert`` and ``prepare``.
    """
    photograph = photograph.to(model.device)
    with torch.no_grad():
        latent = model.encode(photograph.padded(model.multiple))
    path, _ = invert(model, latent, settings, photograph, tick=tick)
    return prepare(model, path, prior, settings, degradation=degradation)


ANOTHER_VAE = (
    "what the VAE gives back is another picture than the photograph",
    "use the VAE that belongs to the model, and the photograph that it encoded, else the result is wrong",
)
ANOTHER_PICTURE = (
    "image is another picture than the one that was inverted",
    "use the photograph that was encoded, and the VAE that encoded it, else the result is wrong",
)


def _disagreements(decoded: Tensor, photograph: Photograph | None, objective: Objective) -> list[str]:
    """Warnings if the photograph, its latent and what is observed of it are not of one picture.

    Args:
        decoded: D(E(y)), (B, 3, h, w).
        photograph: y, if it is known.
        objective: knows what is observed, and by which degradation.
    """
    found = []
    with torch.no_grad():
        if photograph is not None:
            found.append(complaint(*ANOTHER_VAE, disagreement(decoded, photograph.shown, photograph.known)))
        # Against the photograph itself where it is known: then a VAE at fault is no picture at fault.
        seen = decoded if photograph is None else photograph.shown
        found.append(complaint(*ANOTHER_PICTURE, disagreement(objective.degraded(seen), objective.observed)))
    return [text for text in found if text is not None]


def _masked(path: LatentPath) -> LatentPath:
    """A path whose own mask has the picture's size and is its photograph's as well, where there is one."""
    photograph, mask = path.photograph, path.mask
    if mask is None or photograph is None:
        return path
    if mask.shape[-2:] != photograph.pixels.shape[-2:]:
        mask = nn.functional.interpolate(mask, size=photograph.size, mode="bilinear", align_corners=False)
    both = mask if photograph.mask is None else torch.minimum(mask, photograph.mask)
    return replace(path, photograph=replace(photograph, mask=both))


def _with_holes(degradation: Degradation | None, photograph: Photograph | None) -> Degradation | None:
    """A degradation that leaves out the photograph's holes, unless it has holes of its own."""
    known = None if photograph is None else photograph.known
    if known is None or (degradation is not None and not degradation.complete):
        return degradation
    holes = Inpaint(1 - known)
    return holes if degradation is None else Composed([degradation, holes])


def _judge(safeguards: Safeguards | None, layout: Layout) -> Judge | None:
    if safeguards is None or safeguards.judge is None:
        return None
    judge = tiled_prior(safeguards.judge, layout)
    return Judge(judge, safeguards.patience, safeguards.tolerance, safeguards.keep == "judge")


def finish(
    model: LatentDiffusion,
    path: LatentPath,
    settings: Settings = DEFAULT,
    detail_mask: Tensor | None = None,
    tell: Callable[[str], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """From a path to the picture that is handed over: sampled, decoded, detail and colour, mask and alpha.

    Args:
        model: the one that made the path.
        path: of the ascent.
        settings: those of the stage "finish" count.
        detail_mask: (1 or B, 1, h, w) in [0, 1], where ``added_detail`` is added; None = everywhere.
        tell: is told if the autoencoder does not give the path's photograph back, which ``prepare`` checks as well.

    Returns:
        (B, 3 or 4, h, w) on the CPU, in [0, 1] where the photograph is, and the sampled latent (B, C, H, W).

    Raises:
        UserError: if detail is to be added to a path that does not know its photograph.
    """
    path = _masked(path.at(settings.change).to(model.device))
    photograph = path.photograph
    shown = None if photograph is None else photograph.shown
    with torch.no_grad():
        denoise, decode = lay_out(model.denoise, model.decode, path.layout, model.multiple, path.latent, shown)
        latent = make_solver(path.solver).sample(denoise, path)
        image = decode(latent)
        adds_detail = settings.added_detail > 0 or (path.detail is not None and bool((path.detail > 0).any()))
        if photograph is None or shown is None:
            if adds_detail:
                raise UserError(f"detail: {NEEDS_PHOTOGRAPH}")
            return image.clamp(0, 1).cpu(), latent
        decoded = decode(path.latent) if adds_detail or tell is not None else None
        if tell is not None and decoded is not None:
            off = disagreement(decoded, shown, photograph.known)
            if (warning := complaint(*ANOTHER_VAE, off)) is not None:
                tell(warning)
        if adds_detail and decoded is not None:
            missing, mask = photograph.residual(decoded), detail_mask
            mask = None if mask is None else mask.to(model.device)
            image = return_detail(image, missing, settings.added_detail, mask, path.detail)
        image = transfer_colour(image.clamp(0, 1), shown, settings.colour, photograph.known)
        return photograph.composite(image).cpu(), latent


@dataclass(frozen=True)
class Restored:
    """What ``restore`` gives back.

    Attributes:
        image: (B, 3 or 4, h, w) in [0, 1], on the CPU.
        trace: what happened in each iteration.
        path: of the best image, for a further ascent or another finish.
        about: what the photograph's file says besides its pixels.
        cleaned: what was found in each image and taken away before, in words; empty if nothing was looked for.
    """

    image: Tensor
    trace: Trace
    path: LatentPath
    about: About
    cleaned: tuple[str, ...] = ()

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the first image as a picture file, with the photograph's colour profile, EXIF data and dpi.

        Raises:
            UserError: for a name without a known suffix.
        """
        write_picture(self.image[:1], file, self.about)


def frozen_prior(
    name: str | Prior, device: torch.device | str, weights: Sequence[str | os.PathLike[str]] = ()
) -> Prior:
    """A quality model by name, ready to be climbed; ``weights``: folders with weights and prior files."""
    prior = load_prior(name, WeightStore(tuple(map(Path, weights)))) if isinstance(name, str) else name
    return prior.to(device).eval().requires_grad_(False)


def restore(
    image: str | os.PathLike[str] | Image.Image | Tensor,
    model: LatentDiffusion | None = None,
    settings: Settings = DEFAULT,
    prior: str | Prior = DEFAULT_PRIOR,
    *,
    known: Tensor | None = None,
    mask: Tensor | None = None,
    degradation: Degradation | None = None,
    weights: Sequence[str | os.PathLike[str]] = (),
    callback: Callable[[Ascent], None] | None = None,
    **overrides: Value,
) -> Restored:
    """Restore a photograph whose distortions are unknown, and stay faithful to it.

    Args:
        image: a picture file, a Pillow image, or (B, 1, 3 or 4, h, w) in [0, 1].
        model: the diffusion model; the shipped one by default.
        settings: how.
        prior: the quality model to climb, or its name.
        known: (1 or B, 1, h, w) in [0, 1], 0 in holes and scratches; they are filled.
        mask: (1 or B, 1, h, w) in [0, 1], where the photograph may change.
        degradation: how the photograph was spoilt, if that is known and keeps its size.
        weights: folders with weights of quality models and prior files.
        callback: called with the ascent after each iteration; may raise to stop.
        overrides: settings by name, in place of those of ``settings``.

    Raises:
        UserError: for an image, a setting or a prior that cannot be worked with.

    Example:
        ``dmap.restore("old.jpg", fidelity_weight=160).save("better.png")``
    """
    unknown = set(overrides) - set(vars(settings))
    if unknown:
        raise UserError(f"settings: there is no {', '.join(sorted(unknown))}; choose of {', '.join(vars(settings))}")
    settings = replace(settings, **overrides)  # type: ignore[arg-type]  # Settings checks the values
    photograph, about = _opened(image)
    photograph = replace(photograph, known=known, mask=None if mask is None else feathered(mask, settings.feather))
    photograph, notes = cleaned(photograph, settings)
    diffusion = shipped() if model is None else model
    ascent = begin(diffusion, photograph, frozen_prior(prior, diffusion.device, weights), settings, degradation)
    ascent.run(callback)
    restored, _ = finish(diffusion, ascent.path, settings)
    return Restored(restored, ascent.trace, ascent.path, about, notes)


def _opened(image: str | os.PathLike[str] | Image.Image | Tensor) -> tuple[Photograph, About]:
    if isinstance(image, Tensor):
        return Photograph.of(image), About()
    return photograph_of(image) if isinstance(image, Image.Image) else read_photograph(image)
