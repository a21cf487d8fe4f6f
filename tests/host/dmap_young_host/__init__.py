"""Gives an old host (0.3.75) what young ones do differently, written from the facts; for tests only.

Loaded beside the pack when ``DMAP_YOUNG_HOST`` is set. Each habit stands in a file of its own; a host that has it
already keeps its own.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import interrupts, pages, rotary, vae
from .nodes import NODES

for habit in (interrupts, pages, rotary, vae):
    habit.install()


class YoungHost(ComfyExtension):
    """Nodes that show the habits."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> ComfyExtension:
    """The host calls this when it loads the pack."""
    return YoungHost()
