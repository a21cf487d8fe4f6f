"""DMAP Decode: from a path to an image."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..dmap import restoration
from ..dmap.errors import UserError
from ..dmap.settings import Settings
from .host import checks, images, picture, session
from .schema import Node, schema, widget
from .sockets import PathSocket

NODE = "DMAP Decode"
NEEDED = (
    "it needs the photograph, which this path does not know; connect it to the socket 'photograph' (paths from DMAP "
    "Optimize, or of latents from DMAP Encode Photo, know it)"
)


class DMAPDecode(Node):
    """Samples a path, decodes it, and finishes the picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPDecode",
            display_name=NODE,
            search_aliases=["strength", "colour transfer"],
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
        strength: float = Settings.change,
        colour: str = Settings.colour,
        detail: float = Settings.added_detail,
    ) -> io.NodeOutput:
        checks.check_vae(vae, NODE)
        checks.check_vae_fits(vae, path, NODE)
        with images.named_errors(NODE):
            settings = Settings(change=strength, colour=colour, added_detail=detail)
        if photograph is not None:
            picture.reference(photograph, path, vae, NODE, socket="photograph")
            path = picture.with_photograph(path, photograph, vae, NODE, "photograph")
        path = picture.with_latent_mask(path, vae, NODE)
        share = path.path.detail
        needs_detail = detail > 0 or (share is not None and bool((share > 0).any()))
        if needs_detail and path.path.photograph is None:
            raise UserError(f"{NODE}, detail: {NEEDED}")
        where = picture.mask_for(detail_mask, path, vae, NODE, "detail_mask")
        # An ascent has compared the photograph with its latent already.
        said: list[str] = []
        tell = said.append if photograph is not None or path.path.start is None else None
        progress = images.Progress(1)

        def body(host: session.Session) -> tuple[Tensor, Tensor]:
            with images.named_errors(NODE):
                result, latent = restoration.finish(host.model, path.path, settings, where, tell)
            progress.update(1, result)
            return images.to_image_socket(result), host.to_vae(latent).cpu()

        shown, latent = session.run(path.model, path.positive, session.path_latent(path), body, vae=vae)
        return io.NodeOutput(shown, {"samples": latent}, ui=ui.PreviewText("\n".join(said)) if said else None)


def _inputs() -> list[io.Input]:
    return [
        PathSocket.Input(
            "path", tooltip="The path from DMAP Optimize. Straight from DMAP Invert it gives the photograph back."
        ),
        io.Vae.Input("vae", tooltip="The VAE that encoded the photograph."),
        io.Image.Input(
            "photograph",
            optional=True,
            tooltip="The photograph, for paths that do not know it: colour, detail and alpha need it.",
        ),
        io.Mask.Input("detail_mask", optional=True, tooltip="Where to add detail back; everywhere by default."),
        *(widget(name, optional=True) for name in ("change", "colour", "added_detail")),
    ]
