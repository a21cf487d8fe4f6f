"""DMAP Load IQA Prior: a no-reference quality model under the host's memory management."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..dmap.priors import JUDGES, PRIORS, prior_names
from ..dmap.restoration import DEFAULT_PRIOR
from .host import files, images, models
from .schema import Node, advanced, listed, never_raises, schema
from .sockets import PriorSocket

NODE = "DMAP Load IQA Prior"


class DMAPLoadPrior(Node):
    """Loads a no-reference image quality model as the prior."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPLoadPrior",
            display_name=NODE,
            search_aliases=["quality model", "NR-IQA", "load IQA", "LIQE", "MUSIQ", "CLIP-IQA", "NIQE"],
            description="Loads the no-reference image quality (NR-IQA) model that judges what a good photograph is.",
            inputs=[
                io.Combo.Input(
                    "name",
                    options=listed(lambda: prior_names(files.iqa_store()), [*PRIORS, *JUDGES]),
                    default=DEFAULT_PRIOR,
                    tooltip="Names that begin with dmap_ come with this pack; dmap_policy restores best. Names that "
                    "begin with pyiqa: need the package pyiqa (noncommercial licence) and that model's weights; those "
                    "at hand come first. Names that begin with file: are mixtures, prior files in ComfyUI's folder "
                    "models/iqa.",
                ),
                io.Boolean.Input(
                    "download",
                    default=False,
                    optional=True,
                    tooltip="On: weights that are missing are downloaded into models/iqa, if their SHA-256 is known to "
                    "check them by. Off: nothing is ever downloaded, the error says which file is missing.",
                ),
                advanced(
                    io.Float.Input(
                        "midpoint",
                        default=0.0,
                        min=-100000.0,
                        max=100000.0,
                        step=0.1,
                        round=False,
                        optional=True,
                        tooltip="The model's own score that becomes 50 on the scale of 0 to 100. Only used if slope "
                        "is above 0.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "slope",
                        default=0.0,
                        min=0.0,
                        max=100000.0,
                        step=0.1,
                        round=False,
                        optional=True,
                        tooltip="Steepness of that map per unit of the model's own score; better is always higher. 0 "
                        "keeps the usual map of the model.",
                    )
                ),
            ],
            outputs=[
                PriorSocket.Output("prior", display_name="prior", tooltip="The quality model, for DMAP Optimize.")
            ],
        )

    @classmethod
    @never_raises(0.0)
    def fingerprint_inputs(cls, name: str = "", **_: Any) -> float:
        """A prior file may change under the same name."""
        return files.changed(name)

    @classmethod
    def execute(cls, name: str, download: bool = False, midpoint: float = 0.0, slope: float = 0.0) -> io.NodeOutput:
        with images.named_errors(NODE):
            score_map = (midpoint, slope) if slope > 0 else None
            return io.NodeOutput(models.load_prior_patchers(name, download, score_map))
