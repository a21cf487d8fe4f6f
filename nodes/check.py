"""DMAP Self Check: whether the pack works on this host, with the figures that a bug report needs."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..dmap import restoration
from ..dmap.image.photograph import Photograph
from ..dmap.method.chain import Chain
from ..dmap.method.objective import Objective
from ..dmap.settings import Settings
from .host import checks, features, images, models, report, session
from .schema import Node, schema

NODE = "DMAP Self Check"
PRIOR = "dmap_quality"
CHECKED = Settings(steps=2, max_error=10.0, step_size=0.005, target_score=200.0, detail="0", shift=0)
"""The objective rises from the first iteration: a small step, the prior's view at rest. An inexact round trip is
reported, not refused."""
DIFFERENCES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""Steps of the central differences, in standard deviations of the latent; the best of them counts."""
ROUND_TRIP = 1e-2
GRADIENT = {"float32": 0.05}
"""Up to here a host works. Differences of a network in half precision drown in its rounding: there a half will do."""


class DMAPSelfCheck(Node):
    """Inverts, climbs and decodes, and says how exactly and at what cost."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPSelfCheck",
            display_name=NODE,
            search_aliases=["diagnose", "bug report", "test installation"],
            description="Inverts a photograph, climbs a few iterations, decodes, and reports how exact all of it is on "
            "this computer and what it costs. Copy the text into a bug report.",
            inputs=[
                io.Model.Input("model", tooltip="The model to check, such as that of DMAP Load Demo Models."),
                io.Conditioning.Input("positive", tooltip="Its text conditioning; an empty text will do."),
                io.Vae.Input("vae", tooltip="The VAE of the model."),
                io.Image.Input("image", tooltip="Any photograph; 256 to 1024 px. Its sides are filled up as needed."),
                io.Int.Input(
                    "iterations",
                    default=2,
                    min=1,
                    max=100,
                    tooltip="How many iterations to climb. More of them give a better timing.",
                ),
            ],
            outputs=[io.String.Output("report", display_name="report", tooltip="The figures as JSON.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: Any, positive: list[Any], vae: Any, image: Tensor, iterations: int) -> io.NodeOutput:
        checks.check_model(model, NODE)
        checks.check_conditioning(model, positive, NODE)
        checks.check_vae(vae, NODE)
        pixels = Photograph(images.from_image_socket(image[:1], NODE, "image"))
        photograph = Photograph(pixels.padded(features.pixels_per_position(model)))
        latent = vae.encode(photograph.pixels.movedim(1, -1))
        prior = models.load_prior_patchers(PRIOR)
        report.reset_peak()
        progress, settings = images.Progress(iterations + 3), replace(CHECKED, iterations=iterations)

        def body(host: session.Session) -> dict[str, Any]:
            return _measured(host, photograph.mapped(torch.clone), prior, settings, progress)

        patchers = prior.patchers
        found = report.host_facts(model, vae) | session.run(model, positive, latent, body, vae=vae, patchers=patchers)
        found["peak_memory_gib"] = report.peak_gib()
        found["works"] = _works(found)
        return io.NodeOutput(json.dumps(found, indent=1), ui=ui.PreviewText(_text(found)))


def _measured(
    host: session.Session,
    photograph: Photograph,
    prior: session.HostPrior,
    settings: Settings,
    progress: images.Progress,
) -> dict[str, Any]:
    began = time.monotonic()
    path, error = restoration.invert(host.model, host.latent, settings, photograph)
    found: dict[str, Any] = {"round_trip_error": error, "seconds_to_invert": round(time.monotonic() - began, 2)}
    progress.update(1)
    ascent = restoration.prepare(host.model, path, prior.prior, settings)
    found["memory"] = ascent.trace.memory
    found["gradient_error"] = _gradient_error(ascent.chain, ascent.objective)
    progress.update(2)
    ascent.run(lambda state: progress.update(3 + state.trace.rows[-1].iteration, state.current))
    first, last = ascent.trace.rows[0], ascent.trace.rows[-1]
    found["objective"] = [first.objective[0], max(row.objective[0] for row in ascent.trace.rows)]
    found["seconds_an_iteration"] = round(last.seconds / (settings.iterations + 1), 2)
    return found


def _gradient_error(chain: Chain, objective: Objective) -> float:
    """How far the gradient's length is from central differences along it, as a share of it."""
    z = chain.start().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(objective(chain(z)).objective.sum(), z)
    length = float(gradient.norm())
    direction, errors = gradient / length * z.numel() ** 0.5, []
    for step in DIFFERENCES:
        with torch.no_grad():
            up, down = (float(objective(chain(z + side * step * direction)).objective.sum()) for side in (1, -1))
        slope = (up - down) / (2 * step) / z.numel() ** 0.5
        errors.append(abs(slope - length) / length)
    return min(errors)


def _works(found: dict[str, Any]) -> bool:
    exact = found["gradient_error"] <= GRADIENT.get(found["vae"], 0.5) and found["round_trip_error"] <= ROUND_TRIP
    return exact and found["objective"][1] > found["objective"][0]


def _text(found: dict[str, Any]) -> str:
    before, after = found["objective"]
    return "\n".join(
        [
            "DMAP works here" if found["works"] else "DMAP does NOT work here as it should",
            f"ComfyUI-DMAP {found['pack']} on ComfyUI {found['comfyui']}, Python {found['python']}, "
            f"PyTorch {found['torch']}, {found['device']}",
            f"model {found['model']}, VAE {found['vae']}, dynamic VRAM {'on' if found['dynamic_vram'] else 'off'}",
            f"round trip off by {found['round_trip_error']:.1e}, gradient off by {found['gradient_error']:.1%} from "
            f"central differences, objective {before:.2f} -> {after:.2f}",
            f"{found['memory']}; measured peak {found['peak_memory_gib']:.2f} GiB",
            f"{found['seconds_to_invert']} s to invert, {found['seconds_an_iteration']} s an iteration",
        ]
    )
