"""DMAP Optimize: the MAP ascent."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..dmap.degradations import Degradation
from ..dmap.method.ascent import Ascent
from ..dmap.settings import Settings
from . import climb
from .host import checks, images, picture, session
from .preset import CUSTOM, partner, preset_input, with_preset
from .schema import Node, never_raises, schema, widget
from .sockets import DegradationSocket, PathSocket, PriorSocket, RegionsSocket, SafeguardsSocket, TraceSocket

NODE = "DMAP Optimize"
FIRST = (
    "iterations", "prior_weight", "fidelity", "fidelity_weight", "rule", "step_size", "target_score", "shift",
)  # fmt: skip
"""Settings in the order of the widgets before the seed: an interface of saved workflows."""


class DMAPOptimize(Node):
    """Raises the prior's score of the decoded image while it stays faithful to the photograph."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPOptimize",
            display_name=NODE,
            search_aliases=[
                "restore",
                "denoise",
                "upscale",
                "enhance",
                "restore photo",
                "deblur",
                "repair",
                "optimise",
                "MAP",
            ],
            description="Restores a photograph: takes away noise, blur and JPEG blocks, by raising a quality score "
            "while the picture stays faithful. Climbs prior_weight x quality - fidelity_weight x distance in the "
            "noise latent and keeps the best image. If you interrupt it, the graph goes on with the best so far, "
            "saved in the output folder too; interrupt again to end the graph.",
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
    @never_raises(0)
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
        iterations: int | None = None,
        prior_weight: float | None = None,
        fidelity: str | None = None,
        fidelity_weight: float | None = None,
        rule: str | None = None,
        step_size: float | None = None,
        target_score: float | None = None,
        shift: int | None = None,
        seed: int = Settings.seed,
        mask: torch.Tensor | None = None,
        degradation: Degradation | None = None,
        regions: tuple[session.HostRegion, ...] = (),
        safeguards: session.HostSafeguards | None = None,
        feather: int = Settings.feather,
        preset: str = CUSTOM,
        gradient: str | None = None,
        detail: str | None = None,
        scale: str = "absolute",  # graphs from before version 0.2 do not say
    ) -> io.NodeOutput:
        checks.check_vae(vae, NODE)
        checks.check_vae_fits(vae, path, NODE)
        widgets = {
            "iterations": iterations, "prior_weight": prior_weight, "fidelity": fidelity,
            "fidelity_weight": fidelity_weight, "rule": rule, "step_size": step_size, "target_score": target_score,
            "shift": shift, "seed": seed, "gradient": gradient, "detail": detail, "scale": scale,
        }  # fmt: skip
        with images.named_errors(NODE):
            settings, said = with_preset(preset, "ascend", feather=feather, **widgets)
        said += partner(preset, settings, path.preset, path.settings)
        observed = picture.reference(image, path, vae, NODE, degradation)
        path = path if path.path.photograph is not None else picture.with_photograph(path, image, vae, NODE)
        path = picture.with_latent_mask(path, vae, NODE)
        path = picture.with_mask(path, picture.mask_for(mask, path, vae, NODE), settings.feather, NODE)
        path = picture.with_holes(path, degradation, vae)
        problem = climb.Problem(path, observed, prior, degradation, regions or (), safeguards)
        progress = images.Progress(settings.iterations + 1)

        def body(host: session.Session) -> Ascent:
            with images.named_errors(NODE):
                ascent = climb.prepare(problem, host, vae, NODE, settings)
                logging.info("%s: %s", NODE, ascent.trace.memory)
                ascent.trace.notes += said
                if ascent.trace.notes:
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
        *(widget(name, optional=True) for name in FIRST),
        # Not "randomize", the browser's choice for True: each run would repeat the ascent, though little changes.
        widget("seed", optional=True, control_after_generate="fixed"),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="Where the photograph may change, and by how much (soft masks are welcome). Where it is 0 the "
            "result of DMAP Decode equals the photograph exactly.",
        ),
        DegradationSocket.Input(
            "degradation",
            optional=True,
            tooltip="How the photograph was spoilt, if you know it, from the DMAP Degradation nodes. For Downscale "
            "connect the small photograph to image.",
        ),
        RegionsSocket.Input(
            "regions", optional=True, tooltip="Parts with their own weight or quality model, from DMAP Region."
        ),
        SafeguardsSocket.Input(
            "safeguards", optional=True, tooltip="A judge and a prior on the latent, from DMAP Safeguards."
        ),
        widget("feather", optional=True),
        preset_input("ascend"),
        widget("gradient", optional=True),
        widget("detail", optional=True),
        widget("scale", optional=True, before="absolute"),
    ]
