"""Test-only nodes: a tiny Stable Diffusion of the host's own classes, patches, and probes. Never shipped to users."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import freed  # noqa: F401  # its route
from .flows import FlowControl, FlowFacts, TinyFlow
from .images import Anything, Halves, Spoil, SpoilLatent
from .models import FullXL, NoConditioning, OtherVAE, TinyControlNet, TinySD, TinyXL
from .patches import AttentionPatch, Hungry, Patch
from .priors import Opposite
from .probes import Compare, Fingerprint, PreviewMethod, Probe
from .texts import EmptyText
from .witness import Testimony, Witness


class TestNodes(ComfyExtension):
    """Hands the nodes to the host."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            TinySD,
            TinyXL,
            TinyFlow,
            FlowFacts,
            FlowControl,
            FullXL,
            EmptyText,
            Witness,
            Testimony,
            Probe,
            Hungry,
            Patch,
            AttentionPatch,
            TinyControlNet,
            Fingerprint,
            Spoil,
            SpoilLatent,
            NoConditioning,
            OtherVAE,
            Halves,
            Anything,
            Compare,
            Opposite,
            PreviewMethod,
        ]


async def comfy_entrypoint() -> ComfyExtension:
    """The host calls this."""
    return TestNodes()
