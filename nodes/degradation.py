"""The DMAP Degradation nodes: what is known of how the photograph was spoilt."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..dmap.degradations import JPEG, Composed, Degradation, Downscale, GaussianBlur, Inpaint, MotionBlur
from .host.images import named_errors
from .host.picture import mask_values
from .schema import Node, schema
from .sockets import DegradationSocket

CATEGORY = "DMAP/degradation"
ALIASES = ["inverse problem", "forward operator", "known degradation"]


def _schema(cls: type[_DegradationNode], description: str, aliases: list[str], *inputs: io.Input) -> io.Schema:
    return schema(
        node_id=cls.__name__,
        display_name=cls.NAME,
        category=CATEGORY,
        description=f"{description} DMAP Optimize then undoes it instead of keeping it.",
        search_aliases=[*aliases, *ALIASES],
        inputs=[
            *inputs,
            DegradationSocket.Input(
                "before", optional=True, tooltip="What happened to the picture before this, from another such node."
            ),
        ],
        outputs=[
            DegradationSocket.Output(
                "degradation",
                display_name="degradation",
                tooltip="Connect it to DMAP Optimize, or to a further such node.",
            )
        ],
    )


class _DegradationNode(Node):
    NAME = ""

    @classmethod
    def after(cls, degradation: Degradation, before: Degradation | None) -> io.NodeOutput:
        """The node's output: this degradation after an earlier one."""
        return io.NodeOutput(degradation if before is None else Composed([before, degradation]))


class DMAPDegradationDownscale(_DegradationNode):
    """Super-resolution."""

    NAME = "DMAP Degradation: Downscale"

    @classmethod
    def define_schema(cls) -> io.Schema:
        factor = io.Float.Input(
            "factor",
            default=2.0,
            min=1.0,
            max=16.0,
            step=0.5,
            tooltip="How many times smaller the photograph is than the picture you want: 2 or 4.",
        )
        return _schema(
            cls,
            "The photograph is a reduction (anti-aliased, bicubic) of the picture: super-resolution.",
            ["super-resolution", "upscale"],
            factor,
        )

    @classmethod
    def execute(cls, factor: float, before: Degradation | None = None) -> io.NodeOutput:
        with named_errors(cls.NAME):
            return cls.after(Downscale(factor), before)


class DMAPDegradationBlur(_DegradationNode):
    """Defocus."""

    NAME = "DMAP Degradation: Gaussian Blur"

    @classmethod
    def define_schema(cls) -> io.Schema:
        sigma = io.Float.Input(
            "sigma",
            default=1.5,
            min=0.1,
            max=20.0,
            step=0.1,
            tooltip="Standard deviation of the blur in pixels: 1 slight, 3 strong.",
        )
        return _schema(cls, "The photograph is out of focus by a Gaussian.", ["deblur", "defocus"], sigma)

    @classmethod
    def execute(cls, sigma: float, before: Degradation | None = None) -> io.NodeOutput:
        with named_errors(cls.NAME):
            return cls.after(GaussianBlur(sigma), before)


class DMAPDegradationMotion(_DegradationNode):
    """Camera shake."""

    NAME = "DMAP Degradation: Motion Blur"

    @classmethod
    def define_schema(cls) -> io.Schema:
        length = io.Float.Input(
            "length", default=9.0, min=0.5, max=99.0, step=0.5, tooltip="Length of the trace of a dot, in pixels."
        )
        angle = io.Float.Input(
            "angle",
            default=0.0,
            min=-180.0,
            max=180.0,
            step=1.0,
            tooltip="Direction of the motion in degrees: 0 horizontal, 90 vertical.",
        )
        return _schema(
            cls, "The photograph is blurred by a straight motion.", ["deblur", "camera shake"], length, angle
        )

    @classmethod
    def execute(cls, length: float, angle: float, before: Degradation | None = None) -> io.NodeOutput:
        with named_errors(cls.NAME):
            return cls.after(MotionBlur(length, angle), before)


class DMAPDegradationJPEG(_DegradationNode):
    """Compression."""

    NAME = "DMAP Degradation: JPEG"

    @classmethod
    def define_schema(cls) -> io.Schema:
        quality = io.Int.Input(
            "quality",
            default=40,
            min=1,
            max=100,
            tooltip="Quality of the compression, 1 to 100 as image programs count; below 60 blocks show.",
        )
        return _schema(cls, "The photograph was compressed as JPEG (differentiable, by kornia).", ["deblock"], quality)

    @classmethod
    def execute(cls, quality: int, before: Degradation | None = None) -> io.NodeOutput:
        with named_errors(cls.NAME):
            return cls.after(JPEG(quality), before)


class DMAPDegradationInpaint(_DegradationNode):
    """Scratches and holes."""

    NAME = "DMAP Degradation: Inpaint Mask"

    @classmethod
    def define_schema(cls) -> io.Schema:
        mask = io.Mask.Input("mask", tooltip="1 where the photograph says nothing: scratches, spots, dates, holes.")
        return _schema(
            cls,
            "Parts of the photograph are lost and are to be filled; connect it last.",
            ["inpaint", "scratch", "hole"],
            mask,
        )

    @classmethod
    def execute(cls, mask: torch.Tensor, before: Degradation | None = None) -> io.NodeOutput:
        with named_errors(cls.NAME):
            return cls.after(Inpaint(mask_values(mask, cls.NAME, "mask")), before)
