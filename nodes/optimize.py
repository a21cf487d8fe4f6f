"""DMAP Optimize: the MAP ascent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..dmap.degradations import Degradation
from ..dmap.image.detail import AUTO as DETAIL_AUTO
from ..dmap.image.detail import DETAILS
from ..dmap.method.ascent import Ascent
from ..dmap.method.fidelity import FIDELITIES
from ..dmap.method.gradients import AUTO, GRADIENTS
from ..dmap.method.rules import RULES
from . import climb
from .host import checks, images, picture, session
from .options import HostRegion, Safeguards
from .preset import CUSTOM, preset_input, with_preset
from .schema import schema
from .sockets import DegradationSocket, PathSocket, PriorSocket, RegionsSocket, SafeguardsSocket, TraceSocket

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
            "best image. If it is interrupted, the graph goes on with the best so far, saved in the output folder too; "
            "interrupt again to end the graph.",
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
    def fingerprint_inputs(cls, **inputs: Any) -> int:
        """Changes after an interrupt, so that the host does not take what was rescued for the finished result."""
        return climb.interrupts(inputs)

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
        mask: torch.Tensor | None = None,
        degradation: Degradation | None = None,
        regions: tuple[HostRegion, ...] = (),
        safeguards: Safeguards | None = None,
        feather: int = 8,
        preset: str = CUSTOM,
        gradient: str = AUTO,
        detail: str = DETAIL_AUTO,
    ) -> io.NodeOutput:
        checks.check_vae(vae, NODE)
        checks.check_vae_fits(vae, path, NODE)
        widgets = {
            "iterations": iterations, "prior_weight": prior_weight, "fidelity": fidelity,
            "fidelity_weight": fidelity_weight, "rule": rule, "step_size": step_size, "target_score": target_score,
            "shift": shift, "seed": seed, "gradient": gradient, "detail": detail,
        }  # fmt: skip
        with images.named_errors(NODE):
            named = with_preset(preset, "optimize", **widgets)
            degradation = picture.with_known(degradation, path)
        photograph = picture.reference(image, path, vae, NODE, degradation)
        path = path if path.photograph is not None else picture.with_photograph(path, image, vae, NODE)
        path = picture.with_mask(path, picture.mask_for(mask, path, vae, NODE), feather)
        path = picture.with_holes(path, degradation, vae)
        problem = climb.Problem(path, photograph, prior, degradation, regions or (), safeguards)
        progress = images.Progress(named["iterations"] + 1)

        def body(host: session.Session) -> Ascent:
            with images.named_errors(NODE):
                ascent = climb.prepare(problem, host, vae, NODE, named)
                images.show_text(cls.hidden.unique_id, "\n".join(ascent.trace.notes))
                finished = climb.run(ascent, progress, cls.hidden.unique_id)
            if not finished:
                climb.note_interrupt(widgets)
            return ascent

        ascent = session.run(
            path.model,
            path.positive,
            session.path_latent(path),
            body,
            vae=vae,
            patchers=problem.patchers(),
            tile=path.path.layout.tile // vae.spacial_compression_decode(),
        )
        best = replace(path, path=ascent.path.to("cpu"))
        ui = {"text": [climb.summary(ascent)], "dmap_trace": [ascent.trace.to_json()]}
        return io.NodeOutput(best, ascent.trace, ui=ui)


def _inputs() -> list[io.Input]:
    return [
        PathSocket.Input("path", tooltip="The inverted photograph, from DMAP Invert."),
        io.Vae.Input("vae", tooltip="The VAE that encoded the photograph."),
        PriorSocket.Input("prior", tooltip="The quality model to climb, from DMAP Load IQA Prior."),
        io.Image.Input(
            "image", tooltip="The photograph itself, to which the result stays faithful; its alpha is kept."
        ),
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
            default=240.0,
            min=0.0,
            max=100000.0,
            step=0.5,
            tooltip="Weight of the distance; higher stays closer to the photograph: 80 strong, 240 careful, 400 weak.",
        ),
        io.Combo.Input(
            "rule",
            options=list(RULES),
            default="adam",
            tooltip="Step rule. adam: the fast choice. momentum: the authors' clipped one; use step_size 2 with it.",
        ),
        io.Float.Input(
            "step_size",
            default=0.04,
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
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="Where the photograph may change, and by how much (soft masks are welcome). Where it is 0 the "
            "result of DMAP Decode equals the photograph exactly.",
        ),
        DegradationSocket.Input(
            "degradation",
            optional=True,
            tooltip="What is known of how the photograph was spoilt, from the DMAP Degradation nodes. For Downscale "
            "connect the small photograph to image.",
        ),
        RegionsSocket.Input(
            "regions", optional=True, tooltip="Parts with their own weight or quality model, from DMAP Region."
        ),
        SafeguardsSocket.Input(
            "safeguards", optional=True, tooltip="A judge and a prior on the latent, from DMAP Safeguards."
        ),
        io.Int.Input(
            "feather",
            default=8,
            min=0,
            max=256,
            optional=True,
            tooltip="Width in pixels over which the change fades in at the mask's edge, on its inner side.",
        ),
        preset_input("optimize"),
        io.Combo.Input(
            "gradient",
            options=[AUTO, *GRADIENTS],
            default=AUTO,
            optional=True,
            tooltip="How the gradient passes through the network. Cost of an iteration in its forward passes, for N "
            "solver steps (twice that with edict): auto 3N to 4N, exact, as memory allows; checkpoint 4N, exact, "
            "least memory; keep 3N, exact, most memory; sparse 2N to 2.5N, cosine to exact above 0.99 at the "
            "default settings; short_chain 2.5N to 3N, above 0.97, better than sparse with edict.",
        ),
        io.Combo.Input(
            "detail",
            options=list(DETAILS),
            default=DETAIL_AUTO,
            optional=True,
            tooltip="Share of what the VAE lost of the photograph that is part of the picture: 1 begins at the "
            "photograph itself, 0 at what the VAE gives back, without fine detail and noise. auto: for each image the "
            "estimated share that is detail and not noise, at most 0.75, and down to 0.25 with blocks of JPEG.",
        ),
    ]
