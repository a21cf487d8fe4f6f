"""What a running server tells a page while it works: previews, progress and lines of text."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import threading
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
from PIL import Image

from dmap.image.files import FORMATS

from .server import HostError, Server

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
"""Kinds of the server's binary messages."""
ENDS = ("execution_success", "execution_error", "execution_interrupted")


@dataclass(frozen=True)
class Progress:
    """How far a node is, as its bar shows it."""

    node: str
    value: int
    total: int


class Listener:
    """Listens from entry to exit; prompts queued with its ``client`` are heard in full.

    Attributes:
        client: its name for the server.
        previews: pictures in the order in which they came.
        progress: of all nodes.
        texts: (node id, line) as they were shown on nodes.
    """

    def __init__(self, server: Server) -> None:
        self.client = uuid.uuid4().hex
        self.previews: list[Image.Image] = []
        self.progress: list[Progress] = []
        self.texts: list[tuple[str, str]] = []
        self._url = f"http://127.0.0.1:{server.port}/ws?clientId={self.client}"
        self._ready, self._ended = threading.Event(), threading.Condition()
        self._over: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        if not self._ready.wait(30):
            raise HostError(f"the server did not accept a listener at {self._url}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._listen())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    async def _listen(self) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(self._url, max_msg_size=0) as socket:
            self._ready.set()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._hear_bytes(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._hear(json.loads(message.data))

    def wait(self, prompt_id: str, seconds: float = 30.0) -> None:
        """Until all was heard of a prompt, that ended well or not. HostError if the end does not come in time."""
        with self._ended:
            if not self._ended.wait_for(lambda: prompt_id in self._over, seconds):
                raise HostError(f"the end of prompt {prompt_id} was not heard within {seconds:.0f} s")

    def _hear(self, message: dict[str, Any]) -> None:
        kind, data = message["type"], message["data"]
        if kind == "progress":
            self.progress.append(Progress(str(data["node"]), data["value"], data["max"]))
        elif kind in ENDS:
            with self._ended:
                self._over.add(data["prompt_id"])
                self._ended.notify_all()

    def _hear_bytes(self, data: bytes) -> None:
        kind, length = struct.unpack(">II", data[:8])
        if kind == PREVIEW:  # here the second number is the format
            self.previews.append(Image.open(io.BytesIO(data[8:]), formats=FORMATS))
        elif kind == PREVIEW_WITH_METADATA:
            self.previews.append(Image.open(io.BytesIO(data[8 + length :]), formats=FORMATS))
        elif kind == TEXT:
            self.texts.append((data[8 : 8 + length].decode(), data[8 + length :].decode()))
