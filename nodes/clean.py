"""DMAP Clean Photo: noise and JPEG blocks told from the pixels and taken away, before anything is encoded."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..dmap.image.cleaning import clean
from .host import images
from .host.session import check_interrupt
from .schema import Node, schema

NODE = "DMAP Clean Photo"


class DMAPCleanPhoto(Node):
    """What an ascent begins at and is held to, when the photograph is noisy or compressed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPCleanPhoto",
            display_name=NODE,
            search_aliases=["denoise", "deblock", "JPEG artifacts", "grain"],
            description="Finds noise, by brightness and colour, and blocks of JPEG in a photograph and takes them "
            "away; a clean photograph stays as it is. Put it between Load Image and everything else, with detail 1 at "
            "DMAP Optimize: the ascent then begins at the clean photograph and is not held to its noise.",
            inputs=[io.Image.Input("image", tooltip="The photograph; grey and alpha are welcome, alpha is kept.")],
            outputs=[
                io.Image.Output(
                    "clean_image", display_name="image", tooltip="The same size, without its noise and blocks of JPEG."
                )
            ],
        )

    @classmethod
    def execute(cls, image: torch.Tensor) -> io.NodeOutput:
        pixels = images.from_image_socket(image, NODE, "image")
        results, notes = [], []
        for index, one in enumerate(pixels):
            check_interrupt()
            found = clean(one[None])
            results.append(found.image)
            notes.append(f"image {index + 1}: {found.notes[0]}")
        beside = images.channels_first(image, NODE, "image")[:, 3:]
        shown = images.to_image_socket(torch.cat([torch.cat(results), beside], dim=1))
        return io.NodeOutput(shown, ui=ui.PreviewText("\n".join(notes)))
