"""DMAP Invert: from a photograph's latent to the noise latent that the ascent moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..dmap import restoration
from ..dmap.errors import UserError
from ..dmap.image.layout import Layout
from ..dmap.method.path import LatentPath
from .host import checks, families, images, picture, schedule, session
from .preset import CUSTOM, preset_input, with_preset
from .schema import Node, schema, widget
from .sockets import PathSocket, TilesSocket

NODE = "DMAP Invert"


class DMAPInvert(Node):
    """Inverts a clean latent along the model's probability-flow ODE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPInvert",
            display_name=NODE,
            search_aliases=["inversion", "noise latent"],
            description="Walks a photograph's latent back into the model's noise, so exactly that the way forward "
            "returns it. The result is the starting point of DMAP Optimize.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Stable Diffusion 1.x, 2.x, XL, 3.x, Flux.1, FLUX.2, Z-Image, Lumina 2, Qwen-Image 1.x or "
                    "Chroma with its LoRAs, or the demo model. It is not changed. Base models follow the photograph "
                    "better than turbo and distilled ones.",
                ),
                io.Latent.Input("latent", tooltip="The encoded photograph, from DMAP Encode Photo or VAE Encode."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="Text conditioning of the model; an empty text is the usual choice. Guidance is always 1.",
                ),
                *(widget(name, optional=True) for name in ("solver", "steps", "strength", "max_error")),
                TilesSocket.Input(
                    "tiles",
                    optional=True,
                    tooltip="Tiles for photographs that do not fit into memory, from DMAP Tiles.",
                ),
                preset_input("invert"),
            ],
            outputs=[
                PathSocket.Output(
                    "path",
                    display_name="path",
                    tooltip="Inverted latent with all that DMAP Optimize and DMAP Decode need.",
                ),
                io.Float.Output(
                    "round_trip_error",
                    display_name="round_trip_error",
                    tooltip="Largest relative round-trip error in the batch; about 1e-6 is exact.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        latent: dict[str, Any],
        positive: list[Any],
        solver: str | None = None,
        steps: int | None = None,
        strength: float | None = None,
        max_error: float | None = None,
        tiles: Layout | None = None,
        preset: str = CUSTOM,
    ) -> io.NodeOutput:
        with images.named_errors(NODE):
            settings, said = with_preset(
                preset, "invert", solver=solver, steps=steps, strength=strength, max_error=max_error
            )
        checks.check_model(model, NODE)
        checks.check_conditioning(model, positive, NODE)
        samples = _check_latent(latent, model)
        photograph, dropped = picture.photograph_of(latent, samples)
        mask, base = picture.latent_mask(latent, len(samples), NODE), Layout() if tiles is None else tiles
        layout = base if photograph is None else photograph.layout(base.tile, base.overlap)
        if layout.tile:
            checks.check_tiles(positive, NODE)
        progress = images.Progress(1)

        def body(host: session.Session) -> LatentPath:
            with images.named_errors(NODE):
                path, _ = restoration.invert(
                    host.model, host.latent, settings, photograph, layout, progress.of, measured=False
                )
            return replace(path.to("cpu"), mask=mask)

        inverted = session.run(model, positive, samples, body)
        path = session.HostPath(inverted, model, positive, preset, settings)
        off = round_trip(path, NODE)
        with images.named_errors(NODE):
            _check_round_trip(off, settings.max_error, model)
        kept = None if mask is None else "the picture may change where the latent's noise mask is, and only there"
        lines = [
            *families.notes(model, positive),
            f"round-trip error {off:.1e}",
            *said,
            *(line for line in (dropped, kept) if line is not None),
        ]
        return io.NodeOutput(path, off, ui=ui.PreviewText("\n".join(lines)))


def round_trip(found: session.HostPath, node: str) -> float:
    """Largest relative error of a path's round trip, in a session of its own: the way it will be decoded.

    What a host's object remembers of one walk, it would hide from a check in the same session.
    """
    path = found.path.at(0.0)

    def body(host: session.Session) -> float:
        with images.named_errors(node):
            return restoration.round_trip(host.model, path)

    return session.run(found.model, found.positive, session.path_latent(found), body)


def _check_round_trip(off: float, largest: float, model: Any) -> None:
    try:
        restoration.check_round_trip(off, largest)
    except UserError as error:
        found = schedule.patches(model)
        if not found:
            raise
        raise UserError(
            f"{error}. The model is patched ({', '.join(found)}): what answers otherwise each time, by chance or from "
            "a cache, cannot be inverted; connect the model without it"
        ) from error


def _check_latent(latent: dict[str, Any], model: Any) -> torch.Tensor:
    samples = latent.get("samples") if isinstance(latent, dict) else None
    wanted = model.model.latent_format.latent_channels
    if isinstance(samples, torch.Tensor) and samples.ndim == 5 and samples.shape[2] == 1:
        samples = families.without_frames(samples)  # young hosts hand pictures on as videos of one frame
    if not isinstance(samples, torch.Tensor) or samples.ndim != 4:
        raise UserError(f"{NODE}, socket 'latent': only image latents (batch, channels, height, width) are supported")
    if samples.shape[1] != wanted:
        raise UserError(
            f"{NODE}, socket 'latent': it has {samples.shape[1]} channels, but this model takes {wanted}; encode the "
            "photograph with the VAE that belongs to the model"
        )
    if not torch.isfinite(samples).all():
        raise UserError(f"{NODE}, socket 'latent': it holds NaN or infinite values; check the photograph and the VAE")
    if not samples.any():
        raise UserError(
            f"{NODE}, socket 'latent': it is empty (all values are 0), as Empty Latent Image makes it; connect the "
            "photograph by DMAP Encode Photo"
        )
    return samples
