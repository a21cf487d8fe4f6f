"""Nodes that make a young host's habits meet the pack, and say what became of them."""

from __future__ import annotations

import json
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from comfy_api.latest import io, ui
from torch import Tensor

from . import pages, rotary


class Rotary(io.ComfyNode):
    """A MODEL that turns pairs of channels by an operation without a gradient, as young hosts' transformers do."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestYoungRotary",
            inputs=[io.Model.Input("model"), io.Boolean.Input("gated")],
            outputs=[io.Model.Output("turned")],
        )

    @classmethod
    def execute(cls, model: Any, gated: bool) -> io.NodeOutput:
        def patch(h: Tensor, skip: Tensor, _: Any) -> tuple[Tensor, Tensor]:
            return rotary.rotate(h, 0.3, gated), skip

        turned = model.clone()
        turned.set_model_output_block_patch(patch)
        return io.NodeOutput(turned)


class Plain(io.ComfyNode):
    """The same networks under patchers that do not page."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestYoungPlain",
            inputs=[io.Model.Input("model"), io.Vae.Input("vae")],
            outputs=[io.Model.Output("plain_model"), io.Vae.Output("plain_vae")],
        )

    @classmethod
    def execute(cls, model: Any, vae: Any) -> io.NodeOutput:
        for paged in (model, vae.patcher):
            for module in paged.model.modules():
                module.__dict__.pop("_v", None)
        vae.patcher = _plain(vae.patcher)
        return io.NodeOutput(_plain(model), vae)


def _plain(patcher: Any) -> Any:
    made = comfy.model_patcher.ModelPatcher(patcher.model, patcher.load_device, patcher.offload_device)
    made.patches, made.patches_uuid = patcher.patches, patcher.patches_uuid
    return made


class HalfVAE(io.ComfyNode):
    """A VAE that computes in bfloat16 from a file's float32 weights."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="DMAPTestYoungHalfVAE", inputs=[io.Vae.Input("vae")], outputs=[io.Vae.Output("half")])

    @classmethod
    def execute(cls, vae: Any) -> io.NodeOutput:
        vae.vae_dtype = torch.bfloat16
        for module in vae.first_stage_model.modules():
            for key, _ in module.named_parameters(recurse=False):
                setattr(module, f"{key}_comfy_model_dtype", torch.bfloat16)
        return io.NodeOutput(vae)


class State(io.ComfyNode):
    """What the host's switches are at now, and how often weights were taken away."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestYoungState", inputs=[io.AnyType.Input("after")], outputs=[], is_output_node=True
        )

    @classmethod
    def execute(cls, after: Any) -> io.NodeOutput:
        found = {"in_training": comfy.model_management.in_training, **pages.evictions}
        return io.NodeOutput(ui=ui.PreviewText(json.dumps(found)))


NODES: list[type[io.ComfyNode]] = [Rotary, Plain, HalfVAE, State]
