"""MODELs with something added, as packs of others do it."""

from __future__ import annotations

from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy_api.latest import io


class Patch(io.ComfyNode):
    """A control signal added to the U-Net's blocks, in place as ControlNets do it, or on a copy."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestPatch",
            inputs=[io.Model.Input("model"), io.Boolean.Input("in_place")],
            outputs=[io.Model.Output("patched")],
        )

    @classmethod
    def execute(cls, model: Any, in_place: bool) -> io.NodeOutput:
        def patch(h: torch.Tensor, hsp: torch.Tensor, options: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
            signal = torch.linspace(-0.5, 0.5, h.shape[-1])
            if in_place:
                h += signal
                hsp *= 1.1
                return h, hsp
            return h + signal, hsp * 1.1

        patched = model.clone()
        patched.set_model_output_block_patch(patch)
        return io.NodeOutput(patched)


class Hungry(io.ComfyNode):
    """A MODEL that, in calls with a gradient, asks the allocator for more than there is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestHungry",
            inputs=[io.Model.Input("model"), io.Int.Input("after"), io.Int.Input("times")],
            outputs=[io.Model.Output("hungry")],
        )

    @classmethod
    def execute(cls, model: Any, after: int, times: int) -> io.NodeOutput:
        calls = 0

        def wrapper(apply: Any, options: dict[str, Any]) -> torch.Tensor:
            nonlocal calls
            if torch.is_grad_enabled():
                calls += 1
                if after < calls <= after + times:
                    torch.empty(2**60)
            result: torch.Tensor = apply(options["input"], options["timestep"], **options["c"])
            return result

        hungry = model.clone()
        hungry.set_model_unet_function_wrapper(wrapper)
        return io.NodeOutput(hungry)


class AttentionPatch(io.ComfyNode):
    """An addition to the cross attention's output from an image's colours, as IP-Adapters make one.

    "output" adds to what the host has attended to; "replace" takes the attention over, calls the host's own function
    and adds a second attention to tokens of the image.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestAttentionPatch",
            inputs=[
                io.Model.Input("model"),
                io.Image.Input("image"),
                io.Combo.Input("kind", options=["output", "replace"]),
            ],
            outputs=[io.Model.Output("patched")],
        )

    @classmethod
    def execute(cls, model: Any, image: torch.Tensor, kind: str) -> io.NodeOutput:
        means = image.mean(dim=(0, 1, 2))
        patched = model.clone()
        if kind == "output":
            patched.set_model_attn2_output_patch(lambda attended, _: attended + torch.tanh(attended) * means.mean())
            return io.NodeOutput(patched)

        def replace(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
            tokens = torch.tanh(means.to(q) @ torch.linspace(-1, 1, 3 * k.shape[-1]).to(q).reshape(3, -1))
            tokens = tokens.expand(len(k), 4, -1)
            text: torch.Tensor = optimized_attention(q, k, v, options["n_heads"])
            return text + 0.5 * optimized_attention(q, tokens, tokens, options["n_heads"])

        for block in ("input", "middle", "output"):
            for number in range(4):  # of which only those count that have an attention
                patched.set_model_attn2_replace(replace, block, number)
        return io.NodeOutput(patched)
