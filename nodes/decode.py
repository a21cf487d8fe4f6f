"""DMAP Decode: from a path to an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..dmap.image.detail import lost
from ..dmap.image.finish import COLOURS, assemble, return_detail, transfer_colour
from ..dmap.image.tiles import lay_out
from ..dmap.method.solvers import make_solver
from .host import checks, images, picture, session
from .schema import schema
from .sockets import PathSocket

NODE = "DMAP Decode"
NEEDED = (
    "it needs the photograph, which this path does not know; connect it to the socket 'photograph' (paths from DMAP "
    "Optimize, or of latents from DMAP Encode Photo, know it)"
)


class DMAPDecode(io.ComfyNode):
    """Samples a path, decodes it, and finishes the picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPDecode",
            display_name=NODE,
            search_aliases=["restored image", "strength", "colour transfer"],
            description="Walks a path from its noise latent to the image and finishes it: strength, colour, mask, "
            "alpha. Changing these does not repeat the ascent.",
            inputs=_inputs(),
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The restored photograph."),
                io.Latent.Output(
                    "latent",
                    display_name="latent",
                    tooltip="The same as a latent, for VAE Decode or a further sampler; without colour, detail, mask.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        path: session.HostPath,
        vae: Any,
        photograph: Tensor | None = None,
        detail_mask: Tensor | None = None,
        strength: float = 1.0,
        colour: str = "low_pass",
        detail: float = 0.0,
    ) -> io.NodeOutput:
        checks.check_vae(vae, NODE)
        checks.check_vae_fits(vae, path, NODE)
        with images.named_errors(NODE):
            path = replace(path, path=path.path.at(strength))
        if photograph is not None:
            picture.reference(photograph, path, vae, NODE, socket="photograph")
            path = picture.with_photograph(path, photograph, vae, NODE)
        needs_detail = detail > 0 or (path.path.detail is not None and bool((path.path.detail > 0).any()))
        if needs_detail and path.photograph is None:
            raise ValueError(f"{NODE}, detail: {NEEDED}")
        where = picture.mask_for(detail_mask, path, vae, NODE, "detail_mask")
        progress, layout = images.Progress(1), path.path.layout

        def body(host: session.Session) -> tuple[Tensor, Tensor]:
            assert host.decode is not None
            on_device = path.path.to(host.device)
            y = None if path.photograph is None else path.photograph[:, :3].clamp(0, 1).to(host.device)
            denoise, decode = lay_out(
                host.denoise, host.decode, layout, vae.spacial_compression_decode(), on_device.latent, y
            )
            latent = make_solver(on_device.solver).sample(denoise, on_device)
            result = decode(latent)
            if y is not None:
                known, mask = (None if x is None else x.to(host.device) for x in (path.known, where))
                with images.named_errors(NODE):
                    if needs_detail:
                        missing = lost(y, decode(on_device.latent), known)
                        result = return_detail(result, missing, detail, mask, on_device.detail)
                    result = transfer_colour(result.clamp(0, 1), y, colour, known)
            result = result.clamp(0, 1).cpu()
            if path.photograph is not None:
                result = assemble(result, path.photograph, path.mask)
            progress.update(1, result)
            return images.to_image_socket(result), host.to_vae(latent).cpu()

        tile = layout.tile // vae.spacial_compression_decode()
        shown, latent = session.run(path.model, path.positive, session.path_latent(path), body, vae=vae, tile=tile)
        return io.NodeOutput(shown, {"samples": latent})


def _inputs() -> list[io.Input]:
    return [
        PathSocket.Input("path", tooltip="Of DMAP Optimize; straight from DMAP Invert it gives the photograph back."),
        io.Vae.Input("vae", tooltip="The VAE that encoded the photograph."),
        io.Image.Input(
            "photograph",
            optional=True,
            tooltip="The photograph, for paths that do not know it: colour, detail and alpha need it.",
        ),
        io.Mask.Input("detail_mask", optional=True, tooltip="Where detail is returned; everywhere by default."),
        io.Float.Input(
            "strength",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            optional=True,
            tooltip="How much of the way that the ascent went: 0 = none of it, where it began, 1 = all.",
        ),
        io.Combo.Input(
            "colour",
            options=list(COLOURS),
            default="low_pass",
            optional=True,
            tooltip="Give the result the photograph's colours and brightness over large areas. low_pass: a Gaussian of "
            "12 px; wavelet: structures of more than 32 px; off: as it comes. A path that does not know its photograph "
            "stays as it comes.",
        ),
        io.Float.Input(
            "detail",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.05,
            optional=True,
            tooltip="Share of what the VAE lost that is added back, besides what DMAP Optimize took: fine detail, but "
            "noise as well. With strength 0 and detail 1 the result is the photograph itself.",
        ),
    ]
