"""DMAP Encode Photo: a photograph of any size to a latent that remembers it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..dmap.image.photograph import Photograph
from .host import checks, features, images, picture
from .schema import Node, schema

NODE = "DMAP Encode Photo"


class DMAPEncode(Node):
    """Encodes without cropping; the photograph itself travels with the latent."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPEncode",
            display_name=NODE,
            search_aliases=["VAE Encode", "encode photograph", "any size"],
            description="Encodes a photograph of any size: VAE Encode crops sides that are no multiples of the latent "
            "grid, this node fills them up and DMAP Decode gives the full size back, with its alpha channel.",
            inputs=[
                io.Image.Input("image", tooltip="The photograph; grey and alpha are welcome."),
                io.Vae.Input("vae", tooltip="The VAE of the model."),
                io.Int.Input(
                    "tile",
                    default=0,
                    min=0,
                    max=8192,
                    step=64,
                    tooltip="Side of the tiles to encode in, in pixels, for photographs that do not fit into memory; "
                    "0 encodes at once (the host falls back to tiles by itself when memory runs out).",
                ),
                io.Mask.Input(
                    "holes",
                    optional=True,
                    tooltip="1 where the photograph says nothing: scratches, spots, dates. They are filled smoothly "
                    "from around before encoding, and DMAP Optimize is not held to what lies in them.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    "latent", display_name="latent", tooltip="The latent, for DMAP Invert or any other node."
                ),
            ],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, vae: Any, tile: int, holes: torch.Tensor | None = None) -> io.NodeOutput:
        checks.check_vae(vae, NODE)
        photograph, beside = Photograph(images.from_image_socket(image, NODE, "image")), {picture.PHOTOGRAPH: image}
        if holes is not None:
            beside[picture.KNOWN] = known = picture.known_for(holes, photograph.pixels, NODE)
            photograph = replace(photograph, known=known)
        with images.named_errors(NODE):
            pixels = photograph.padded(vae.spacial_compression_encode())
        socket = pixels.movedim(1, -1)
        # Of a VAE for videos a batch would be the frames of one.
        parts = torch.split(socket, 1) if features.encodes_frames(vae) else (socket,)
        samples = torch.cat([_encoded(part, vae, tile) for part in parts])
        return io.NodeOutput({"samples": samples, picture.ENCODED: picture.stands_for(samples), **beside})


def _encoded(pixels: torch.Tensor, vae: Any, tile: int) -> torch.Tensor:
    if tile and max(pixels.shape[1:3]) > tile:
        samples: torch.Tensor = vae.encode_tiled(pixels, tile_x=tile, tile_y=tile, overlap=tile // 8)
    else:
        samples = vae.encode(pixels)
    return samples
