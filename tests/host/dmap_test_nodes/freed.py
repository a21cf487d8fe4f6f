"""What the host was asked for and has not begun with: it lets go of models beside its queue, maybe a prompt later."""

from __future__ import annotations

from aiohttp import web
from server import PromptServer


@PromptServer.instance.routes.get("/dmap_test/asked")
async def asked(_: web.Request) -> web.Response:
    """The names of what is still to be done."""
    return web.json_response(sorted(PromptServer.instance.prompt_queue.get_flags(reset=False)))
