"""A real ComfyUI server on loopback, driven through its HTTP API."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PACK = "ComfyUI-DMAP"
START_SECONDS = 420.0


class HostError(RuntimeError):
    """The server did not start, died, or a prompt failed; ``messages`` holds a failed node's error."""

    def __init__(self, text: str, error: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.error = error or {}


def host_folder() -> Path:
    """The ComfyUI to run: COMFYUI_DIR, or the one that ``make setup`` put into .host."""
    folder = Path(os.environ.get("COMFYUI_DIR") or ROOT / ".host" / "ComfyUI").absolute()
    if not (folder / "main.py").is_file():
        raise HostError(f"no ComfyUI at {folder}: run 'make setup', or set COMFYUI_DIR to a ComfyUI folder")
    return folder


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Starts on entry, is always stopped on exit; its log stays in the base folder.

    Args:
        base: folder for custom_nodes, input, output, models and the rest; made if missing.
        packs: further custom node folders, beside this checkout.
        arguments: further command line arguments of the server.
        cpu: False: on the accelerator that the host finds.
    """

    def __init__(self, base: Path, packs: Sequence[Path] = (), arguments: Sequence[str] = (), cpu: bool = True) -> None:
        self.base, self.arguments = base, [*(["--cpu"] if cpu else []), *arguments]
        self.packs = {PACK: ROOT, **{pack.name: pack for pack in packs}}
        self.port = free_port()
        self.log = base / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        for folder in ("custom_nodes", "input", "output", "temp", "user", "models/checkpoints", "models/loras"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        for name, target in self.packs.items():
            link = self.base / "custom_nodes" / name
            if not link.exists():
                link.symlink_to(target, target_is_directory=True)
        command = [
            sys.executable, str(host_folder() / "main.py"), "--listen", "127.0.0.1", "--port", str(self.port),
            "--base-directory", str(self.base), "--database-url", "sqlite:///:memory:", "--disable-api-nodes",
            "--disable-all-custom-nodes", "--whitelist-custom-nodes", *self.packs, *self.arguments,
        ]  # fmt: skip
        with self.log.open("wb") as log:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=self.base, env=environment
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            print(f"--- end of the server's log ({self.log}) ---\n{self.log_tail()}", file=sys.stderr)

    def stop(self) -> None:
        """End the server, by force if it does not answer."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log_tail(self, lines: int = 60) -> str:
        """The last lines of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise HostError(f"the server ended while it started:\n{self.log_tail()}")
            try:
                self.get("/system_stats")
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.3)
            else:
                return
        raise HostError(f"the server did not answer within {START_SECONDS:.0f} s:\n{self.log_tail()}")

    def request(self, path: str, data: bytes | None = None, content: str = "application/json") -> bytes:
        """GET, or POST if there is data; returns the body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": content})
        with urllib.request.urlopen(request, timeout=60) as answer:
            body: bytes = answer.read()
        return body

    def get(self, path: str) -> Any:
        """A JSON answer."""
        return json.loads(self.request(path))

    def free(self, seconds: float = 600.0) -> None:
        """Have the server unload all models and drop its cache.

        It does so beside its queue, may take the next prompt first, and misses what it is asked while it puts a prompt
        away. Where the pack of the tests is there to tell, this asks until it has begun. HostError if it does not.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.request("/free", json.dumps({"unload_models": True, "free_memory": True}).encode())
            time.sleep(0.05)
            try:
                if not self.get("/dmap_test/asked"):
                    return
            except urllib.error.HTTPError:  # no such pack
                return
        raise HostError(f"the server did not let go of its models within {seconds:.0f} s")

    def upload(self, file: Path, name: str | None = None) -> str:
        """Copy an image into the server's input folder; returns the name that Load Image takes."""
        target = self.base / "input" / (name or file.name)
        shutil.copyfile(file, target)
        return target.name

    def queue(self, prompt: dict[str, Any], client: str | None = None) -> str:
        """Post a prompt in API form for a listener's ``client``; returns its id. HostError if the server refuses it."""
        body = json.dumps({"prompt": prompt, "client_id": client or uuid.uuid4().hex}).encode()
        try:
            answer = json.loads(self.request("/prompt", body))
        except urllib.error.HTTPError as error:
            detail = json.loads(error.read() or b"{}")
            raise HostError(f"the server refused the prompt: {json.dumps(detail)}", detail) from error
        return str(answer["prompt_id"])

    def wait(self, prompt_id: str, seconds: float = 600.0, tick: Callable[[], None] | None = None) -> dict[str, Any]:
        """The finished prompt's history entry; ``tick`` is called while it waits. HostError if a node failed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            entry: dict[str, Any] | None = None
            with contextlib.suppress(TimeoutError):  # a host that computes may not answer for a minute
                entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry is not None:
                self._raise_for(entry)
                return entry
            if self.process is None or self.process.poll() is not None:
                raise HostError(f"the server ended while it worked:\n{self.log_tail()}")
            if tick is not None:
                tick()
            time.sleep(0.2)
        raise HostError(f"prompt {prompt_id} did not finish within {seconds:.0f} s")

    def run(self, prompt: dict[str, Any], seconds: float = 600.0) -> dict[str, Any]:
        """Queue and wait; returns the outputs by node id."""
        outputs: dict[str, Any] = self.wait(self.queue(prompt), seconds)["outputs"]
        return outputs

    @staticmethod
    def _raise_for(entry: dict[str, Any]) -> None:
        status = entry["status"]
        if status["status_str"] == "success":
            return
        for kind, message in status["messages"]:
            if kind == "execution_error":
                text = f"{message['node_type']}: {message['exception_type']}: {message['exception_message']}"
                raise HostError(text, message)
            if kind == "execution_interrupted":
                raise HostError(f"{message['node_type']}: interrupted", {"interrupted": True, **message})
        raise HostError(f"the prompt failed: {status}")

    def image(self, saved: dict[str, str]) -> bytes:
        """The bytes of an image that a node's output names."""
        query = urllib.parse.urlencode({key: saved[key] for key in ("filename", "subfolder", "type")})
        return self.request(f"/view?{query}")

    def memory(self, field: str = "VmHWM") -> float:
        """The server's peak (VmHWM) or present (VmRSS) resident memory in MiB."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise HostError(f"no {field} for the server")
