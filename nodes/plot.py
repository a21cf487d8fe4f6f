"""DMAP Plot Trace: the curves of an ascent."""

from __future__ import annotations

from comfy_api.latest import io

from ..dmap.image.plot import plot_trace
from ..dmap.method.trace import Trace
from .host import images
from .schema import Node, schema
from .sockets import TraceSocket


class DMAPPlotTrace(Node):
    """Draws a trace."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPPlotTrace",
            display_name="DMAP Plot Trace",
            search_aliases=["curves", "convergence"],
            description="Plots objective, quality score, distance to the photograph and latent norm over the "
            "iterations; a dot marks the best one.",
            inputs=[TraceSocket.Input("trace", tooltip="The trace of DMAP Optimize.")],
            outputs=[
                io.Image.Output(
                    "image",
                    display_name="image",
                    tooltip="The curves, 960 x 640 px, with one colour for each image of the batch.",
                )
            ],
        )

    @classmethod
    def execute(cls, trace: Trace) -> io.NodeOutput:
        return io.NodeOutput(images.to_image_socket(plot_trace(trace)))
