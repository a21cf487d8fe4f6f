"""Nodes that look at models and images and say what they see."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

import comfy.cli_args
import folder_paths
import torch
from comfy_api.latest import io, ui
from safetensors.torch import save_file

from .probe import probe


class Probe(io.ComfyNode):
    """What the pack's host adapter predicts, inverts and differentiates to, as a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestProbe",
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Vae.Input("vae"),
                io.Latent.Input("latent"),
                io.String.Input("file"),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, vae: Any, latent: dict[str, Any], file: str) -> io.NodeOutput:
        session = next(module for name, module in sys.modules.items() if name.endswith(".nodes.host.session"))
        package = session.__name__.removesuffix(".nodes.host.session") + ".dmap"

        def body(host: Any) -> dict[str, torch.Tensor]:
            return probe(package, host.model.denoise, host.model.decode, host.model.table, host.latent, host.model.flow)

        found = session.run(model, positive, latent["samples"], body, vae=vae)
        text = {"context": positive[0][0], "pooled": positive[0][1].get("pooled_output")}
        found |= {key: value for key, value in text.items() if value is not None}
        tensors = {key: value.clone().contiguous().cpu() for key, value in found.items()}
        save_file(tensors, os.path.join(folder_paths.get_output_directory(), file))
        return io.NodeOutput(ui=ui.PreviewText(file))


class Fingerprint(io.ComfyNode):
    """Hashes of a MODEL's weights, buffers and options, and of whether its tensors are still the host's."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestFingerprint",
            inputs=[
                io.Model.Input("model"),
                io.AnyType.Input("after", optional=True, tooltip="Only to order the nodes."),
                io.Int.Input("salt", default=0),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: Any, salt: int, after: Any = None) -> io.NodeOutput:
        weights = hashlib.sha256()
        for key, value in sorted(model.model.state_dict().items()):
            weights.update(key.encode() + value.detach().clone().float().numpy().tobytes())
        # A host that pages puts copies of its own in place of what has no page, of the kind that a run's mode makes.
        paged = getattr(model, "is_dynamic", lambda: False)()
        kept = {} if paged else dict(model.model.named_parameters())
        flags = [f"{name} {x.requires_grad} {x.is_inference()}" for name, x in kept.items()]
        options = [sorted(model.model_options), sorted(model.model_options.get("transformer_options", {}))]
        lines = {
            "weights": weights.hexdigest(),
            "flags": hashlib.sha256(repr(flags).encode()).hexdigest(),
            "options": repr([*options, sorted(model.additional_models)]),
        }
        return io.NodeOutput(ui=ui.PreviewText("\n".join(f"{name}: {value}" for name, value in lines.items())))


class Compare(io.ComfyNode):
    """Largest and mean difference of two images, inside and outside of a mask, and the first one's shape."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestCompare",
            inputs=[io.Image.Input("first"), io.Image.Input("second"), io.Mask.Input("mask", optional=True)],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, first: torch.Tensor, second: torch.Tensor, mask: torch.Tensor | None = None) -> io.NodeOutput:
        found: dict[str, Any] = {"shape": list(first.shape)}
        if first.shape == second.shape:
            difference = (first - second).abs()
            inside = torch.ones_like(difference[..., 0]) if mask is None else mask.expand(difference.shape[:-1])
            for name, where in (("inside", inside > 0), ("outside", inside == 0)):
                part = difference[where]
                found[name] = {"max": float(part.max()), "mean": float(part.mean())} if len(part) else None
        return io.NodeOutput(ui=ui.PreviewText(json.dumps(found)))


class PreviewMethod(io.ComfyNode):
    """Sets what ``--preview-method`` sets, as young hosts do from prompt to prompt; hands the image on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestPreviewMethod",
            inputs=[io.Image.Input("image"), io.Combo.Input("method", options=["none", "auto"])],
            outputs=[io.Image.Output("same")],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, method: str) -> io.NodeOutput:
        comfy.cli_args.args.preview_method = comfy.cli_args.LatentPreviewMethod(method)
        return io.NodeOutput(image)
