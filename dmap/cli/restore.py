"""``python -m dmap restore``: one photograph, without a host."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from ..errors import UserError
from ..image.files import WITHOUT_ALPHA, read_photograph, write_picture
from ..method.ascent import Ascent
from ..models.diffusers_adapter import from_diffusers, load_single_file
from ..models.diffusers_flows import load_folder
from ..models.diffusion import LatentDiffusion, shipped
from ..restoration import DEFAULT_PRIOR, cleaned, finish, frozen_prior, invert, prepare
from ..settings import PRESETS, STAGES, Settings, default, describe, preset
from . import common

NAME = "restore"
HELP = "Restore a photograph whose distortions are unknown and stay faithful to it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = 'Example: python -m dmap restore old.jpg better.png --preset "gentle photo"'
    parser.add_argument("input", type=Path, metavar="IN", help="the photograph (png, jpg, webp ...)")
    parser.add_argument("output", type=Path, metavar="OUT", help="where the result goes (.png, .jpg or .webp)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="a Stable Diffusion 1.x, 2.x or XL checkpoint, one safetensors file, or a folder in diffusers' form of "
        "Stable Diffusion 3.x, Flux.1 or Z-Image; needs diffusers and transformers (default: the pack's models)",
    )
    parser.add_argument(
        "--prediction", choices=["eps", "v"], default="eps", help="what the checkpoint predicts (default: eps)"
    )
    parser.add_argument("--prior", default=DEFAULT_PRIOR, help=f"quality model to climb (default: {DEFAULT_PRIOR})")
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="folder with quality models' weights and prior files (models/iqa)"
    )
    parser.add_argument("--trace", type=Path, metavar="FILE", help="also write what happened, as JSON")
    about = "; ".join(f"{name}: {one.text.rstrip('.')}" for name, one in PRESETS.items())
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        default="default",
        metavar="NAME",
        help=f"settings to start from; options override. {about}",
    )
    facts = describe()
    for stage in STAGES:
        group = parser.add_argument_group(f"settings: {stage}")
        for name, fact in facts.items():
            if fact.stage != stage:
                continue
            kind = type(default(name))
            metavar = None if fact.choices else fact.unit.upper() or {int: "N", float: "X"}[kind]
            group.add_argument(
                f"--{name.replace('_', '-')}",
                type=kind,
                choices=fact.choices or None,
                metavar=metavar,
                help=f"{fact.text.replace('%', '%%')} (default: {default(name)})",
            )
    common.add_device_arguments(parser)


def _settings(options: argparse.Namespace) -> Settings:
    given = {name: value for name in describe() if (value := getattr(options, name)) is not None}
    return Settings(**{**vars(preset(options.preset)), **given})


@contextlib.contextmanager
def _named_options() -> Iterator[None]:
    """Errors about a setting name the command's option."""
    try:
        yield
    except UserError as error:
        name, colon, rest = str(error).partition(":")
        if name not in describe():
            raise
        raise UserError(f"--{name.replace('_', '-')}{colon}{rest}") from error


def run(options: argparse.Namespace) -> int:
    with _named_options():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    common.check_output(options.output, options.overwrite)
    settings = _settings(options)
    photograph, about = read_photograph(options.input)
    photograph, found = cleaned(photograph, settings)
    for note in found:
        print(f"cleaned: {note}", file=sys.stderr)
    device = common.device_of(options.device)
    if photograph.alpha is not None and options.output.suffix.lower() in WITHOUT_ALPHA:
        print(f"{options.output}: JPEG holds no alpha channel, it is left out; .png keeps it", file=sys.stderr)
    model = _model(options, device)
    prior = frozen_prior(options.prior, device, () if options.weights is None else (options.weights,))
    photograph = photograph.to(device)
    with torch.no_grad():
        latent = model.encode(photograph.padded(model.multiple))
    inverting = common.Progress(0, "inverting")
    path, _ = invert(model, latent, settings, photograph, tick=inverting.of)
    inverting.close()
    ascent = prepare(model, path, prior, settings)
    before = list(ascent.trace.notes)
    detail = ascent.path.detail
    share = [] if detail is None else [f"detail: {float(detail[0]):.2f} of what the autoencoder lost"]
    print(*share, *before, sep="\n", file=sys.stderr)
    progress = common.Progress(settings.iterations + 1, "restoring")

    def show(state: Ascent) -> None:
        row = state.trace.rows[-1]
        text = f"quality {row.prior[0]:.1f}, distance {row.fidelity[0]:.4f}"
        progress.update(row.iteration + 1, text)

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
            write_picture(finish(model, ascent.path, settings)[0], options.output, about)
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
    if options.checkpoint.is_dir():
        return load_folder(options.checkpoint, device, dtype)
    unet, vae, conditioning = load_single_file(options.checkpoint, dtype=dtype)
    return from_diffusers(unet.to(device), vae.to(device), conditioning, options.prediction)
