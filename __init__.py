"""ComfyUI-DMAP: NR-IQA models as priors of a MAP estimator in diffusion latents (arXiv:2403.06406)."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .nodes import NODES

WEB_DIRECTORY = "./web"
"""Where the host finds a help page per node."""


class DMAPExtension(ComfyExtension):
    """Hands the nodes to the host."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> ComfyExtension:
    """The host calls this when it loads the pack."""
    return DMAPExtension()
