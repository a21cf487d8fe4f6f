"""DMAP Invert: from a photograph's latent to the noise latent that the ascent moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..dmap.image.layout import Layout
from ..dmap.image.tiles import tiled_denoiser
from ..dmap.method.schedule import Schedule
from ..dmap.method.solvers import SOLVERS, make_solver, round_trip_error
from .host import checks, features, images, picture, session
from .preset import CUSTOM, preset_input, with_preset
from .schema import schema
from .sockets import PathSocket, TilesSocket

NODE = "DMAP Invert"


class DMAPInvert(io.ComfyNode):
    """Inverts a clean latent along the model's probability-flow ODE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPInvert",
            display_name=NODE,
            search_aliases=["inversion", "restore photo", "noise latent"],
            description="Walks a photograph's latent back into the model's noise, so exactly that the way forward "
            "returns it. The result is the starting point of DMAP Optimize.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Stable Diffusion 1.x, 2.x or XL with its LoRAs, or the demo model. It is not changed.",
                ),
                io.Latent.Input("latent", tooltip="The photograph through DMAP Encode Photo or VAE Encode."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="Text conditioning of the model; an empty text is the usual choice. Guidance is always 1.",
                ),
                io.Combo.Input(
                    "solver",
                    options=list(SOLVERS),
                    default="residual_ddim",
                    tooltip="residual_ddim: one network call a step, exact, the fast choice. edict: the paper's "
                    "coupled pair, two calls a step, needs 20 to 50 steps.",
                ),
                io.Int.Input(
                    "steps",
                    default=4,
                    min=1,
                    max=200,
                    tooltip="Steps of the chain. 4 to 6 at a low strength, 10 over the full path; the paper's is 50.",
                ),
                io.Float.Input(
                    "strength",
                    default=0.2,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="How far into the noise to go, 0 to 1. Low stays close to the photograph; 0.2 to 0.5 are "
                    "good first values, 1 is the full path.",
                ),
                io.Float.Input(
                    "max_error",
                    default=0.05,
                    min=0.0,
                    max=10.0,
                    step=0.001,
                    round=False,
                    tooltip="Refuse to go on if the round trip (inverting, then sampling) changes the latent by more "
                    "than this share of its root mean square.",
                ),
                TilesSocket.Input(
                    "tiles", optional=True, tooltip="For photographs that do not fit into memory, from DMAP Tiles."
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
        solver: str,
        steps: int,
        strength: float,
        max_error: float,
        tiles: Layout | None = None,
        preset: str = CUSTOM,
    ) -> io.NodeOutput:
        with images.named_errors(NODE):
            named = with_preset(preset, "invert", solver=solver, steps=steps, strength=strength, max_error=max_error)
        solver, steps, strength, max_error = (named[key] for key in ("solver", "steps", "strength", "max_error"))
        table = checks.noise_table(model, NODE)
        checks.check_conditioning(model, positive, NODE)
        samples, ratio = _check_latent(latent, model), features.pixels_per_position(model)
        layout, photograph, known = picture.layout_of(latent, tiles, samples, ratio)
        if layout.tile:
            checks.check_tiles(positive, NODE)
        with images.named_errors(NODE):
            schedule = Schedule.from_table(table, steps, strength)
            method = make_solver(solver)
        total = method.inversion_evaluations(schedule.steps) + method.evaluations * schedule.steps
        progress = images.Progress(total)

        def body(host: session.Session) -> tuple[Any, float]:
            tile, overlap, done = layout.tile // ratio, layout.overlap // ratio, 0
            inner = tiled_denoiser(host.denoise, tile, overlap)

            def denoise(u: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
                nonlocal done
                result = inner(u, sigma)
                done += 1
                progress.update(done)
                return result

            path = replace(method.invert(denoise, schedule, host.latent), layout=layout)
            return path.to("cpu"), float(round_trip_error(method, denoise, path).max())

        path, off = session.run(model, positive, samples, body, tile=layout.tile // ratio)
        if not off <= max_error:
            raise ValueError(
                f"{NODE}, max_error: the round trip is off by {off:.2g} of the latent's size, more than max_error = "
                f"{max_error:g}. Use the solver residual_ddim, a smaller strength or more steps (edict), or raise it"
            )
        text = f"round-trip error {off:.1e}"
        found = session.HostPath(path, model, positive)
        if photograph is not None:
            pixels = images.channels_first(photograph)
            found = replace(found, photograph=pixels.cpu(), known=known)
        return io.NodeOutput(found, off, ui=ui.PreviewText(text))


def _check_latent(latent: dict[str, Any], model: Any) -> torch.Tensor:
    samples, wanted = latent["samples"], model.model.latent_format.latent_channels
    if isinstance(samples, torch.Tensor) and samples.ndim == 5 and samples.shape[2] == 1:
        samples = samples[:, :, 0]  # young hosts hand pictures on as videos of one frame
    if not isinstance(samples, torch.Tensor) or samples.ndim != 4:
        raise ValueError(f"{NODE}, socket 'latent': only image latents (batch, channels, height, width) are supported")
    if samples.shape[1] != wanted:
        raise ValueError(
            f"{NODE}, socket 'latent': it has {samples.shape[1]} channels, but this model takes {wanted}; encode the "
            "photograph with the VAE that belongs to the model"
        )
    if not torch.isfinite(samples).all():
        raise ValueError(f"{NODE}, socket 'latent': it holds NaN or infinite values; check the photograph and the VAE")
    return samples
