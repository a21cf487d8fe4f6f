"""DMAP List Priors: as many priors as one likes on one socket."""

from __future__ import annotations

from comfy_api.latest import io

from ..dmap.errors import UserError
from .host.session import HostPrior
from .schema import Node, schema
from .sockets import PriorSocket, PriorsSocket

MOST = 8
"""Priors of one node; lists chain, for hosts of 2025 have no socket that grows."""


class DMAPListPriors(Node):
    """Priors as a list, for DMAP Compare Priors."""

    NAME = "DMAP List Priors"

    @classmethod
    def define_schema(cls) -> io.Schema:
        further: list[io.Input] = [
            PriorSocket.Input(f"prior_{number}", optional=True, tooltip="A further quality model.")
            for number in range(2, MOST + 1)
        ]
        return schema(
            node_id="DMAPListPriors",
            display_name=cls.NAME,
            category="DMAP/priors",
            description="Puts up to eight quality models into a list, behind those of another list: any number for "
            "DMAP Compare Priors.",
            search_aliases=["more priors", "collect quality models", "prior list"],
            inputs=[
                PriorSocket.Input("prior_1", tooltip="A quality model."),
                *further,
                PriorsSocket.Input("priors", optional=True, tooltip="Another list, whose models come first."),
            ],
            outputs=[
                PriorsSocket.Output(
                    "all_priors",
                    display_name="priors",
                    tooltip="Connect it to DMAP Compare Priors or another list.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, prior_1: HostPrior, priors: tuple[HostPrior, ...] = (), **others: HostPrior | None
    ) -> io.NodeOutput:
        named = [prior_1, *(others.get(f"prior_{number}") for number in range(2, MOST + 1))]
        return io.NodeOutput((*listed(cls.NAME, "priors", priors), *(prior for prior in named if prior is not None)))


def listed(node: str, socket: str, priors: tuple[HostPrior, ...]) -> tuple[HostPrior, ...]:
    """A list as it came by a link. Raises UserError if it holds something else."""
    if not all(isinstance(prior, HostPrior) for prior in priors):
        raise UserError(f"{node}, socket '{socket}': it holds something else than priors; connect DMAP List Priors")
    return priors
