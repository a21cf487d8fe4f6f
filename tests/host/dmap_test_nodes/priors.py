"""DMAP_PRIORs that are made to be wrong."""

from __future__ import annotations

import sys
from typing import Any

import torch
from comfy_api.latest import io


class Opposite(io.ComfyNode):
    """A quality model that likes exactly what another one dislikes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        socket = io.Custom("DMAP_PRIOR")
        return io.Schema(
            node_id="DMAPTestOpposite", inputs=[socket.Input("prior")], outputs=[socket.Output("opposite")]
        )

    @classmethod
    def execute(cls, prior: Any) -> io.NodeOutput:
        pack = next(name for name in sys.modules if name.endswith(".nodes.host.session")).removesuffix(
            ".nodes.host.session"
        )
        base, logistic = sys.modules[f"{pack}.dmap.priors.base"], sys.modules[f"{pack}.dmap.priors.logistic"]

        class Reversed(base.Prior):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__(prior.prior.info, logistic.IdentityMap())
                self.part = prior.prior

            def score(self, image: torch.Tensor) -> torch.Tensor:
                return 100 - self.part(image)

        return io.NodeOutput(type(prior).of(Reversed(), prior))
