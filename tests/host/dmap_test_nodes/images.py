"""IMAGEs, MASKs and LATENTs that are unusual."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io


class Spoil(io.ComfyNode):
    """An IMAGE made unusual."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        kinds = [
            "none",
            "nan",
            "alpha",
            "grey",
            "two_channels",
            "small",
            "second",
            "pair",
            "batch2",
            "batch3",
            "float",
            "three",
            "rounded",
            "bytes",
            "to 255",
            "from -1",
            "infinite",
        ]
        return io.Schema(
            node_id="DMAPTestSpoil",
            inputs=[io.Image.Input("image"), io.Combo.Input("kind", options=kinds)],
            outputs=[io.Image.Output("spoilt")],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, kind: str) -> io.NodeOutput:
        image = image.clone()
        if kind == "nan":
            image[0, 0, 0, 0] = float("nan")
        elif kind == "alpha":
            image = torch.cat([image, torch.ones_like(image[..., :1])], dim=-1)
        elif kind == "grey":
            image = image.mean(dim=-1, keepdim=True)
        elif kind == "three":
            image = image.expand(*image.shape[:-1], 3)
        elif kind == "rounded":
            # To 8 bits, a little above: the host's SaveImage cuts off instead of rounding.
            image = image.mul(255).round() / 255 + 1e-4
        elif kind == "bytes":
            image = image.mul(255).round().byte()
        elif kind == "to 255":
            image = image * 255
        elif kind == "from -1":
            image = 2 * image - 1
        elif kind == "infinite":
            image[0, 0, 0, 0] = float("inf")
        elif kind == "two_channels":
            image = image[..., :2]
        elif kind == "float":
            # Between the levels of 8 bits, a little out of range, and with a soft alpha channel.
            image = 1.1 * image - 0.03 + 1e-4 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
            image = torch.cat([image, image[..., :1].clamp(0.2, 0.9)], dim=-1)
        elif kind == "small":
            image = image[:, :48, :48]
        elif kind in ("second", "pair"):  # another image, and a batch of this one and that
            noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(1))
            other = 0.6 * image.flip(2) + 0.2 * noise
            image = other if kind == "second" else torch.cat([image, other])
        elif kind.startswith("batch"):
            image = torch.cat([image, image.flip(2), image.flip(1)])[: int(kind[-1])]
        return io.NodeOutput(image)


class SpoilLatent(io.ComfyNode):
    """A LATENT made unusual."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestSpoilLatent",
            inputs=[
                io.Latent.Input("latent"),
                io.Combo.Input("kind", options=["nan", "channels", "video", "one_frame"]),
            ],
            outputs=[io.Latent.Output("spoilt")],
        )

    @classmethod
    def execute(cls, latent: dict[str, Any], kind: str) -> io.NodeOutput:
        samples = latent["samples"].clone()
        if kind == "nan":
            samples[0, 0, 0, 0] = float("nan")
        elif kind == "channels":
            samples = samples[:, :3]
        else:
            samples = samples[:, :, None].expand(-1, -1, 2 if kind == "video" else 1, -1, -1)
        return io.NodeOutput({**latent, "samples": samples})


class Anything(io.ComfyNode):
    """A value of whatever kind, for sockets and widgets of every type."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestAnything",
            inputs=[io.Combo.Input("kind", options=list(ANYTHING))],
            outputs=[io.AnyType.Output("value")],
        )

    @classmethod
    def execute(cls, kind: str) -> io.NodeOutput:
        return io.NodeOutput(ANYTHING[kind])


ANYTHING: dict[str, Any] = {
    "text": "x" * 5000, "none": None, "nan": float("nan"), "infinite": float("inf"), "fraction": 2.5, "seven": 7,
    "list": [[1], "a"], "dictionary": {"samples": "a"}, "huge": 10**400, "true": True, "tensor": torch.zeros(3),
    "half": 0.5,
}  # fmt: skip


class Halves(io.ComfyNode):
    """A MASK of an image's size: 1 on one side, a ramp, 0 on the other; or a batch of both."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestHalves",
            inputs=[
                io.Image.Input("image"),
                io.Float.Input("fill", default=1.0),
                io.Combo.Input("side", options=["left", "right", "both"], default="left", optional=True),
            ],
            outputs=[io.Mask.Output("mask")],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, fill: float, side: str = "left") -> io.NodeOutput:
        height, width = image.shape[1:3]
        left = ((1.5 - torch.linspace(0, 3, width)).clamp(0, 1) * fill).expand(1, height, width)
        masks = {"left": left, "right": left.flip(2), "both": torch.cat([left, left.flip(2)])}
        return io.NodeOutput(masks[side].clone())
