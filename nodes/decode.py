"""DMAP Decode: from a path to an image."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..dmap.solvers import make_solver
from .host import images, session
from .schema import schema
from .sockets import PathSocket

NODE = "DMAP Decode"


class DMAPDecode(io.ComfyNode):
    """Samples a path and decodes it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPDecode",
            display_name=NODE,
            search_aliases=["restored image"],
            description="Walks a path from its noise latent to the image.",
            inputs=[
                PathSocket.Input(
                    "path", tooltip="Of DMAP Optimize; straight from DMAP Invert it gives the photograph back."
                ),
                io.Vae.Input("vae", tooltip="The VAE that encoded the photograph."),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The restored photograph."),
                io.Latent.Output(
                    "latent",
                    display_name="latent",
                    tooltip="The same as a latent, for VAE Decode or a further sampler.",
                ),
            ],
        )

    @classmethod
    def execute(cls, path: session.HostPath, vae: Any) -> io.NodeOutput:
        session.check_vae(vae, NODE)
        session.check_vae_fits(vae, path, NODE)
        progress = images.Progress(1)

        def body(host: session.Session) -> tuple[torch.Tensor, torch.Tensor]:
            assert host.decode is not None
            on_device = path.path.to(host.device)
            latent = make_solver(on_device.solver).sample(host.denoise, on_device)
            image = host.decode(latent)
            progress.update(1, image)
            return images.to_image_socket(image), host.to_vae(latent).cpu()

        image, latent = session.run(path.model, path.positive, session.path_latent(path), body, vae=vae)
        return io.NodeOutput(image, {"samples": latent})
