"""DMAP Region, DMAP Safeguards and DMAP Tiles: what is plugged into the main nodes when it is needed."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..dmap.errors import UserError
from ..dmap.image.layout import Layout
from ..dmap.restoration import Safeguards
from .host.images import named_errors
from .host.session import HostPrior, HostRegion, HostSafeguards
from .schema import Node, schema, widget
from .sockets import PriorSocket, RegionsSocket, SafeguardsSocket, TilesSocket

CATEGORY = "DMAP/options"


class DMAPRegion(Node):
    """A part of the picture with its own weight or quality model."""

    NAME = "DMAP Region"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPRegion",
            display_name=cls.NAME,
            category=CATEGORY,
            description="In this part of the picture the prior counts more, less, not at all, or is another one. "
            "Chain several for several parts. Each costs one scoring an iteration.",
            search_aliases=["regional strength", "regional prior", "mask weight"],
            inputs=[
                io.Mask.Input("mask", tooltip="The part of the picture; soft edges are allowed."),
                io.Float.Input(
                    "prior_weight",
                    default=2.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Factor on the weight of the prior here: 2 = twice as strong, 0 = only the fidelity acts.",
                ),
                PriorSocket.Input(
                    "prior", optional=True, tooltip="Another quality model for this part; the main one by default."
                ),
                RegionsSocket.Input("regions", optional=True, tooltip="Further parts, from another DMAP Region."),
            ],
            outputs=[
                RegionsSocket.Output("all_regions", display_name="regions", tooltip="Connect it to DMAP Optimize.")
            ],
        )

    @classmethod
    def execute(
        cls,
        mask: torch.Tensor,
        prior_weight: float,
        prior: HostPrior | None = None,
        regions: tuple[HostRegion, ...] = (),
    ) -> io.NodeOutput:
        return io.NodeOutput((*(regions or ()), HostRegion(mask, prior_weight, prior)))


class DMAPSafeguards(Node):
    """Against results that please the quality model and nobody else."""

    NAME = "DMAP Safeguards"

    @classmethod
    def define_schema(cls) -> io.Schema:
        weight = {"default": 0.0, "min": 0.0, "max": 1000.0, "step": 0.5}
        return schema(
            node_id="DMAPSafeguards",
            display_name=cls.NAME,
            category=CATEGORY,
            description="Keeps the quality model from being fooled: a second one that is never climbed stops the "
            "ascent when it finds the picture worse, and the latent is held to what a photograph's looks like.",
            search_aliases=["judge", "reward hacking", "early stopping", "overfitting"],
            inputs=[
                PriorSocket.Input(
                    "judge", optional=True, tooltip="A quality model other than the prior. It is only asked."
                ),
                io.Int.Input(
                    "patience",
                    default=3,
                    min=1,
                    max=1000,
                    tooltip="Stop an image after so many iterations in a row below the judge's best.",
                ),
                io.Float.Input(
                    "tolerance",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Points (of 100) that the judge may lose before an iteration counts as worse.",
                ),
                io.Combo.Input(
                    "keep",
                    options=["objective", "judge"],
                    default="objective",
                    tooltip="Which iterate is kept: the one with the highest objective, or the one that the judge "
                    "likes most.",
                ),
                io.Float.Input(
                    "latent_norm_weight",
                    **weight,
                    tooltip="Points to lose when the latent's norm is off by 10 percent; 0 = off, 5 is a good first "
                    "value.",
                ),
                io.Float.Input(
                    "whiteness_weight",
                    **weight,
                    tooltip="Points to lose when the correlation of neighbours in the latent is off by 0.1; 0 = off, 5 "
                    "is a good first value.",
                ),
            ],
            outputs=[
                SafeguardsSocket.Output("safeguards", display_name="safeguards", tooltip="Connect it to DMAP Optimize.")
            ],
        )

    @classmethod
    def execute(
        cls,
        patience: int,
        tolerance: float,
        keep: str,
        latent_norm_weight: float,
        whiteness_weight: float,
        judge: HostPrior | None = None,
    ) -> io.NodeOutput:
        if keep == "judge" and judge is None:
            raise UserError(f"{cls.NAME}, keep: 'judge' needs a quality model in the socket 'judge'; connect one")
        asked = None if judge is None else judge.prior
        safeguards = Safeguards(asked, patience, tolerance, keep, latent_norm_weight, whiteness_weight)
        return io.NodeOutput(HostSafeguards(safeguards, judge))


class DMAPTiles(Node):
    """Large pictures in little memory."""

    NAME = "DMAP Tiles"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="DMAPTiles",
            display_name=cls.NAME,
            category=CATEGORY,
            description="Lets the networks see a large photograph in overlapping tiles. Noise and changes are shared "
            "between tiles and blended at every step, so there are no seams, and memory is that of one tile.",
            search_aliases=["large image", "tiled", "4K", "memory"],
            inputs=[
                widget(
                    "tile",
                    fold=False,
                    default=512,
                    min=64,
                    tooltip="Side of a tile in pixels: 512 for SD 1.x and the demo models, 1024 for SDXL.",
                ),
                widget(
                    "overlap",
                    fold=False,
                    default=64,
                    tooltip="Overlap of neighbouring tiles in pixels, at most half a tile. An eighth of a tile is "
                    "enough.",
                ),
            ],
            outputs=[TilesSocket.Output("tiles", display_name="tiles", tooltip="The tiles, for DMAP Invert.")],
        )

    @classmethod
    def execute(cls, tile: int, overlap: int) -> io.NodeOutput:
        with named_errors(cls.NAME):
            return io.NodeOutput(Layout(tile=tile, overlap=overlap))
