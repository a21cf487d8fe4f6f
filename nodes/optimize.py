"""DMAP Optimize: the MAP ascent."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..dmap.ascent import Ascent, AscentSettings
from ..dmap.chain import Chain
from ..dmap.fidelity import FIDELITIES
from ..dmap.fidelity import fidelity as make_fidelity
from ..dmap.objective import Objective
from ..dmap.priors import check_gradient
from ..dmap.rules import RULES
from .host import images, session
from .schema import schema
from .sockets import PathSocket, PriorSocket, TraceSocket

NODE = "DMAP Optimize"


class DMAPOptimize(io.ComfyNode):
    """Raises the prior's score of the decoded image while it stays faithful to the photograph."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPOptimize",
            display_name=NODE,
            search_aliases=["restore photo", "enhance", "MAP", "optimise"],
            description="Climbs prior_weight x quality - fidelity_weight x distance in the noise latent and keeps the "
            "best image. If it is interrupted or fails, the best image so far is saved in the output folder.",
            inputs=_inputs(),
            outputs=[
                PathSocket.Output(
                    "best_path", display_name="path", tooltip="The path of the best image, for DMAP Decode."
                ),
                TraceSocket.Output(
                    "trace", display_name="trace", tooltip="What happened in each iteration, for DMAP Plot Trace."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        path: session.HostPath,
        vae: Any,
        prior: session.HostPrior,
        image: torch.Tensor,
        iterations: int,
        prior_weight: float,
        fidelity: str,
        fidelity_weight: float,
        rule: str,
        step_size: float,
        target_score: float,
        shift: int,
        seed: int,
    ) -> io.NodeOutput:
        session.check_vae(vae, NODE)
        session.check_vae_fits(vae, path, NODE)
        photograph = _reference(image, path, vae)
        progress = images.Progress(iterations + 1)

        def body(host: session.Session) -> Ascent:
            assert host.decode is not None
            y = photograph.to(host.device)
            with images.named_errors(NODE):
                chain = Chain(path.path.to(host.device), host.denoise, host.decode)
                objective = Objective(
                    prior.prior, make_fidelity(fidelity), y, prior_weight, fidelity_weight, shift, seed
                )
                ascent = Ascent(chain, objective, AscentSettings(iterations, rule, step_size, target_score))
                ascent.trace.photograph_prior = prior.prior(y).tolist()
                if prior_weight > 0:
                    check_gradient(prior.prior, y[:1])
            _climb(ascent, progress, cls.hidden.unique_id)
            return ascent

        latent = session.path_latent(path)
        ascent = session.run(path.model, path.positive, latent, body, vae=vae, patchers=prior.patchers)
        best = session.HostPath(ascent.path.to("cpu"), path.model, path.positive)
        ui = {"text": [_summary(ascent)], "dmap_trace": [ascent.trace.to_json()]}
        images.show_text(cls.hidden.unique_id, ui["text"][0])
        return io.NodeOutput(best, ascent.trace, ui=ui)


def _inputs() -> list[io.Input]:
    return [
        PathSocket.Input("path", tooltip="The inverted photograph, from DMAP Invert."),
        io.Vae.Input("vae", tooltip="The VAE that encoded the photograph."),
        PriorSocket.Input("prior", tooltip="The quality model to climb, from DMAP Load IQA Prior."),
        io.Image.Input("image", tooltip="The photograph itself, to which the result stays faithful. Alpha is ignored."),
        io.Int.Input("iterations", default=20, min=1, max=1000, tooltip="Changes of the latent. 20 to 50."),
        io.Float.Input(
            "prior_weight",
            default=1.0,
            min=0.0,
            max=1000.0,
            step=0.05,
            tooltip="Weight of the quality score (0 to 100, higher is better). Raise it for a stronger change.",
        ),
        io.Combo.Input(
            "fidelity",
            options=list(FIDELITIES),
            default="nlpd_colour",
            tooltip="Distance to the photograph. nlpd: perceptual (the paper's); nlpd_colour: the same with colour and "
            "brightness held; mse, l1: pixel by pixel; ssim, ms_ssim: structure (ms_ssim needs more than 160 px).",
        ),
        io.Float.Input(
            "fidelity_weight",
            default=60.0,
            min=0.0,
            max=100000.0,
            step=0.5,
            tooltip="Weight of the distance; higher stays closer to the photograph: 20 strong, 60 careful, 100 gentle.",
        ),
        io.Combo.Input(
            "rule",
            options=list(RULES),
            default="adam",
            tooltip="Step rule. adam: the fast choice. momentum: the authors' clipped one; use step_size 2 with it.",
        ),
        io.Float.Input(
            "step_size",
            default=0.02,
            min=0.0001,
            max=100.0,
            step=0.005,
            round=False,
            tooltip="For adam the change of the latent an iteration, in standard deviations: 0.01 to 0.1.",
        ),
        io.Float.Input(
            "target_score",
            default=90.0,
            min=0.0,
            max=200.0,
            step=1.0,
            tooltip="Stop as soon as the quality score (0 to 100) reaches this; above 100 never stops early.",
        ),
        io.Int.Input(
            "shift",
            default=8,
            min=0,
            max=64,
            tooltip="The quality model sees a crop smaller by this many pixels, moved at random in each iteration: "
            "it keeps false textures out. 0 turns it off.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0xFFFFFFFFFFFFFFFF,
            control_after_generate=True,
            tooltip="Of the random shifts; the same seed gives the same image.",
        ),
    ]


def _reference(image: torch.Tensor, path: session.HostPath, vae: Any) -> torch.Tensor:
    pixels = images.crop_as_encoder(images.from_image_socket(image, NODE, "image"), vae)
    ratio = vae.spacial_compression_decode()
    height, width = (side * ratio for side in path.path.latent.shape[-2:])
    if tuple(pixels.shape[-2:]) != (height, width):
        raise ValueError(
            f"{NODE}, socket 'image': it is {image.shape[2]}x{image.shape[1]} px, but the path is of an image of "
            f"{width}x{height} px; connect the same image that went into VAE Encode"
        )
    if len(pixels) != path.path.batch:
        if len(pixels) != 1:
            raise ValueError(
                f"{NODE}, socket 'image': a batch of {len(pixels)}, but the path holds {path.path.batch} images; "
                "connect the same batch that went into VAE Encode"
            )
        pixels = pixels.expand(path.path.batch, -1, -1, -1)
    return pixels.clone()


def _climb(ascent: Ascent, progress: images.Progress, node_id: str | None) -> None:
    """Run the ascent; whatever ends it early, the best image so far is saved."""

    def show(state: Ascent) -> None:
        row = state.trace.rows[-1]
        progress.update(row.iteration + 1, state.image)
        images.show_text(
            node_id, f"iteration {row.iteration}: quality {row.prior[0]:.1f}, distance {row.fidelity[0]:.4f}"
        )

    try:
        ascent.run(show)
    except BaseException:  # the host's interrupt is a BaseException in newer versions
        if ascent.image is not None:
            files = images.save_rescued(ascent.image, "dmap_best_so_far")
            images.show_text(node_id, f"stopped early; best image so far: output/{files[0]}")
        raise


def _summary(ascent: Ascent) -> str:
    lines = []
    for index, best in enumerate(ascent.trace.best_iteration):
        first, row = ascent.trace.rows[0], ascent.trace.rows[best]
        lines.append(
            f"quality {first.prior[index]:.1f} -> {row.prior[index]:.1f}, distance {row.fidelity[index]:.4f}, "
            f"best at iteration {best}, stopped by {ascent.trace.stopped[index]}"
        )
    return "\n".join(lines)
