"""``python -m dmap restore``: one photograph, without a host."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from ..image.cleaning import clean
from ..image.detail import DETAILS, with_detail
from ..image.layout import Layout
from ..image.tiles import lay_out, tiled_fidelity, tiled_prior
from ..memory.decoding import Decoding
from ..memory.plan import free_bytes, plan_path
from ..method.ascent import Ascent, AscentSettings
from ..method.chain import Chain
from ..method.denoiser import Denoiser
from ..method.fidelity import FIDELITIES, fidelity
from ..method.gradients import AUTO, GRADIENTS
from ..method.objective import Objective
from ..method.path import Path as LatentPath
from ..method.rules import RULES
from ..method.schedule import Schedule
from ..method.solvers import SOLVERS, make_solver, round_trip_error
from ..models.diffusers_adapter import from_diffusers, load_single_file
from ..models.diffusion import LatentDiffusion, shipped
from ..presets import PRESETS, Value, values
from ..priors import WeightStore, check_gradient, load_prior
from . import common

NAME = "restore"
HELP = "Restore a photograph whose distortions are unknown and stay faithful to it."

# Option -> choices (or None) and help. Names, meaning and defaults are the nodes' widgets'.
_OPTIONS: dict[str, tuple[list[str] | None, str]] = {
    "iterations": (None, "changes of the latent; more is slower and stronger"),
    "strength": (None, "how far into the noise to work, 0 to 1; low stays closer to the photograph"),
    "steps": (None, "solver steps along that way"),
    "solver": (list(SOLVERS), "how the photograph is inverted: exactly by both; edict is the paper's and costs twice"),
    "max_error": (None, "refuse to go on if inverting and coming back changes the latent by more than this share"),
    "prior_weight": (None, "weight of the quality score (0..100)"),
    "fidelity": (list(FIDELITIES), "distance to the photograph"),
    "fidelity_weight": (None, "weight of that distance: 80 strong, 240 careful, 400 weak"),
    "rule": (list(RULES), "step rule: momentum is the paper's, with step size 2"),
    "step_size": (None, "of the step rule, in standard deviations of the latent for adam"),
    "target_score": (None, "stop at this quality score; above 100 never stops early"),
    "gradient": (
        [AUTO, *GRADIENTS],
        "how gradients pass through the network: auto is exact, as fast as memory allows; "
        "sparse is faster and nearly exact",
    ),
    "detail": (
        list(DETAILS),
        "share of what the autoencoder lost that is part of the picture; auto is the estimated share of "
        "detail in it as opposed to noise",
    ),
    "shift": (None, "move the quality model's view at random by up to so many pixels; 0 is off"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = 'Example: python -m dmap restore old.jpg better.png --preset "gentle photo"'
    parser.add_argument("input", type=Path, metavar="IN", help="the photograph (png, jpg, webp ...)")
    parser.add_argument("output", type=Path, metavar="OUT", help="where the result goes (.png, .jpg or .webp)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="a Stable Diffusion 1.x, 2.x or XL checkpoint, one safetensors file; needs diffusers and transformers "
        "(default: the pack's models)",
    )
    parser.add_argument(
        "--prediction", choices=["eps", "v"], default="eps", help="what the checkpoint predicts (default: eps)"
    )
    parser.add_argument("--prior", default="dmap_quality", help="quality model to climb (default: dmap_quality)")
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="folder with quality models' weights and prior files (models/iqa)"
    )
    parser.add_argument(
        "--tile",
        type=int,
        default=0,
        metavar="PX",
        help="side of the tiles in which the networks see a large photograph, overlapping by an eighth; 0 is whole "
        "(default: 0)",
    )
    parser.add_argument(
        "--clean",
        action="store_true",
        help="first take away the noise and the blocks of JPEG that are found in the pixels; the ascent begins there, "
        "with all detail (--detail 1, if it is not given), and is held to that",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random; the same gives the same image")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="also write what happened, as JSON")
    about = "; ".join(f"{name}: {preset.text.rstrip('.')}" for name, preset in PRESETS.items())
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        default="default",
        metavar="NAME",
        help=f"settings to start from; options override. {about}",
    )
    default = values("default")
    settings = parser.add_argument_group("settings")
    for name, (choices, text) in _OPTIONS.items():
        settings.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default[name]),
            choices=choices,
            metavar=None if choices else {str: "NAME", int: "N", float: "X"}[type(default[name])],
            help=f"{text} (default: {default[name]})",
        )
    common.add_device_arguments(parser)


def _settings(options: argparse.Namespace) -> dict[str, Value]:
    given = {name: value for name in _OPTIONS if (value := getattr(options, name)) is not None}
    further: dict[str, Value] = {"detail": "1"} if options.clean else {}
    return {**values(options.preset), **further, **given}


def run(options: argparse.Namespace) -> int:
    common.check_output(options.output, options.overwrite)
    photograph = common.read_picture(options.input)
    if options.clean:
        found = clean(photograph)
        photograph = found.image
        print(f"cleaned: {found.notes[0]}", file=sys.stderr)
    device, settings = common.device_of(options.device), _settings(options)
    model = _model(options, device)
    padded = _pad(photograph, model.multiple).to(device)
    layout = Layout(tile=options.tile, overlap=options.tile // 8)
    ascent = _prepare(model, padded, layout, settings, options)
    before = list(ascent.trace.notes)
    print(*before, sep="\n", file=sys.stderr)
    progress = common.Progress(ascent.settings.iterations + 1, "restoring")

    def show(state: Ascent) -> None:
        row = state.trace.rows[-1]
        progress.update(row.iteration + 1, f"quality {row.prior[0]:.1f}, distance {row.fidelity[0]:.4f}")

    code = 0
    try:
        ascent.run(show)
    except (KeyboardInterrupt, FloatingPointError) as error:
        if ascent.image is None:
            raise
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
        reason = "interrupted" if code == 130 else f"error: {error}"
        print(f"\n{reason}; the best image so far is written", file=sys.stderr)
    finally:
        progress.close()
        if ascent.image is not None:
            common.write_picture(ascent.image[..., : photograph.shape[-2], : photograph.shape[-1]], options.output)
            if options.trace is not None:
                options.trace.write_text(ascent.trace.to_json(), encoding="utf-8")
    for note in ascent.trace.notes[len(before) :]:
        print(note, file=sys.stderr)
    first, best = ascent.trace.rows[0], ascent.trace.rows[ascent.trace.best_iteration[0]]
    print(f"{options.output}: quality {first.prior[0]:.1f} -> {best.prior[0]:.1f}, distance {best.fidelity[0]:.4f}")
    return code


def _model(options: argparse.Namespace, device: torch.device) -> LatentDiffusion:
    dtype = common.DTYPES[options.dtype]
    if options.checkpoint is None:
        return shipped(device, dtype)
    unet, vae, conditioning = load_single_file(options.checkpoint, dtype=dtype)
    return from_diffusers(unet.to(device), vae.to(device), conditioning, options.prediction)


def _pad(image: Tensor, multiple: int) -> Tensor:
    """Edge pixels repeated on the right and below, so that the autoencoder's grid fits."""
    height, width = image.shape[-2:]
    return torch.nn.functional.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def _prepare(
    model: LatentDiffusion,
    photograph: Tensor,
    layout: Layout,
    settings: dict[str, Value],
    options: argparse.Namespace,
) -> Ascent:
    """Check every setting and invert the photograph."""
    store = WeightStore((options.weights,) if options.weights else ())
    prior = load_prior(options.prior, store).to(photograph.device).eval().requires_grad_(False)
    distance = fidelity(str(settings["fidelity"]))
    objective = Objective(
        tiled_prior(prior, layout),
        tiled_fidelity(distance, layout),
        photograph,
        float(settings["prior_weight"]),
        float(settings["fidelity_weight"]),
        int(settings["shift"]),
        options.seed,
    )
    climb = AscentSettings(
        int(settings["iterations"]),
        str(settings["rule"]),
        float(settings["step_size"]),
        float(settings["target_score"]),
    )
    schedule = Schedule.from_table(model.table, int(settings["steps"]), float(settings["strength"]))
    if objective.prior_weight > 0:
        side = max(layout.tile, prior.info.min_size) if layout.tile else max(photograph.shape[-2:])
        check_gradient(prior, photograph[..., :side, :side])
    latent = model.encode(photograph)
    ratio, decoding = photograph.shape[-1] // latent.shape[-1], Decoding(model.decode, model.decoder)
    denoise, decode = lay_out(model.denoise, decoding, layout, ratio, latent, photograph)
    path = _invert(denoise, latent, schedule, str(settings["solver"]), float(settings["max_error"]))
    strategy, note = plan_path(
        str(settings["gradient"]),
        path,
        model.denoise,
        decoding,
        objective,
        layout.tile // ratio,
        lambda _: free_bytes(model.device),
    )
    path, detail = with_detail(path, str(settings["detail"]), photograph, decode)
    ascent = Ascent(Chain(path, denoise, decode, strategy, decoding, detail), objective, climb)
    assert path.detail is not None
    ascent.trace.notes.append(f"detail: {float(path.detail[0]):.2f} of what the autoencoder lost")
    ascent.trace.notes.append(note)
    return ascent


def _invert(denoiser: Denoiser, latent: Tensor, schedule: Schedule, solver: str, max_error: float) -> LatentPath:
    method = make_solver(solver)
    progress = common.Progress(
        method.inversion_evaluations(schedule.steps) + method.evaluations * schedule.steps, "inverting"
    )
    done = 0

    def denoise(u: Tensor, sigma: Tensor) -> Tensor:
        nonlocal done
        result = denoiser(u, sigma)
        done += 1
        progress.update(done)
        return result

    with torch.no_grad():
        path = method.invert(denoise, schedule, latent)
        off = float(round_trip_error(method, denoise, path))
    progress.close()
    if not off <= max_error:
        raise ValueError(
            f"--max-error: the round trip is off by {off:.2g} of the latent's size, more than {max_error:g}; use "
            "--solver residual_ddim, a smaller --strength or more --steps (edict), or raise it"
        )
    return path
