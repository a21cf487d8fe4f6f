"""DMAP Load IQA Prior: a no-reference quality model under the host's memory management."""

from __future__ import annotations

from comfy_api.latest import io

from ..dmap.priors import prior_names
from .host import files, images, models
from .schema import schema
from .sockets import PriorSocket


class DMAPLoadPrior(io.ComfyNode):
    """Loads a no-reference image quality model as the prior."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPLoadPrior",
            display_name="DMAP Load IQA Prior",
            search_aliases=["quality model", "NR-IQA", "load IQA"],
            description="Loads the no-reference image quality (NR-IQA) model that judges what a good photograph is.",
            inputs=[
                io.Combo.Input(
                    "name",
                    options=prior_names(files.iqa_store()),
                    default="dmap_quality",
                    tooltip="dmap_quality comes with this pack. Names that begin with pyiqa: need the package pyiqa "
                    "(noncommercial licence) and that model's weights; nothing is downloaded. Names that begin with "
                    "file: are mixtures, prior files in ComfyUI's folder models/iqa.",
                )
            ],
            outputs=[
                PriorSocket.Output("prior", display_name="prior", tooltip="The quality model, for DMAP Optimize.")
            ],
        )

    @classmethod
    def execute(cls, name: str) -> io.NodeOutput:
        with images.named_errors("DMAP Load IQA Prior"):
            return io.NodeOutput(models.load_prior_patchers(name))
