"""One real ComfyUI server for all tests of this folder; with ``DMAP_YOUNG_HOST=1`` it has the habits of young ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tools.host import workflow
from tools.host.server import HostError, Server, host_folder

HERE = Path(__file__).resolve().parent
YOUNG = bool(os.environ.get("DMAP_YOUNG_HOST"))
"""Whether the host is to behave as young ones do; then the tests of those habits are collected as well."""
collect_ignore = [] if YOUNG else ["test_young_host.py"]
ROOT = HERE.parent.parent
WORKFLOWS = ROOT / "workflows"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server with the pack and the test-only nodes. Without a ComfyUI the tests fail, they are not skipped."""
    host_folder()
    base = tmp_path_factory.mktemp("comfyui")
    packs = [HERE / "dmap_test_nodes", *([HERE / "dmap_young_host"] if YOUNG else [])]
    with Server(base, packs=packs, arguments=["--preview-method", "auto"]) as running:
        with Image.open(WORKFLOWS / "dmap_sample.png") as photograph:
            photograph.crop((160, 60, 288, 188)).save(base / "input" / "small.png")
            photograph.crop((100, 40, 233, 171)).save(base / "input" / "odd.png")
            photograph.crop((100, 40, 196, 136)).save(base / "input" / "tiny.png")
            photograph.crop((100, 40, 172, 112)).save(base / "input" / "least.png")  # the smallest with the usual shift
            photograph.crop((100, 40, 244, 136)).save(base / "input" / "wide.png")  # in the samples' proportions
            photograph.crop((100, 40, 175, 109)).save(base / "input" / "prime.png")
        with Image.open(WORKFLOWS / "dmap_old_sample.png") as photograph:
            photograph.crop((0, 0, 96, 96)).save(base / "input" / "scratched.png")
        yield running


@pytest.fixture(scope="session")
def definitions(server: Server) -> dict[str, Any]:
    """/object_info."""
    found: dict[str, Any] = server.get("/object_info")
    return found


@pytest.fixture(scope="session")
def sd15(server: Server) -> str:
    """Name of a checkpoint of Stable Diffusion 1.5's architecture with random weights, written once and kept."""
    file = ROOT / ".cache" / "random_sd15.safetensors"
    if not file.exists():
        # In a process of its own: it imports the host's modules.
        subprocess.run([sys.executable, "-m", "tools.host.random_sd15", str(file)], check=True, cwd=ROOT)
    target = server.base / "models" / "checkpoints" / file.name
    if not target.exists():
        os.symlink(file, target)
    return file.name


@pytest.fixture
def demo_prompt(definitions: dict[str, Any]) -> dict[str, Any]:
    """The shipped demo graph at 128 px with few iterations."""
    return workflow.to_prompt(
        workflow.load(WORKFLOWS / "restore_demo.json"),
        definitions,
        {"LoadImage": {"image": "small.png"}, "DMAPOptimize": {"iterations": 3}, "DMAPInvert": {"steps": 3}},
    )


class Graph:
    """A prompt built node by node."""

    def __init__(self) -> None:
        self.prompt: dict[str, Any] = {}

    def add(self, class_type: str, /, **inputs: Any) -> str:
        """Add a node; returns its id. Links are (id, slot)."""
        key = str(max(map(int, self.prompt), default=0) + 1)
        self.prompt[key] = {
            "class_type": class_type,
            "inputs": {name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()},
        }
        return key


def failure(server: Server, prompt: dict[str, Any]) -> str:
    """The error text of a prompt that must fail."""
    with pytest.raises(HostError) as caught:
        server.run(prompt)
    return str(caught.value)


@pytest.fixture
def tools() -> dict[str, Any]:
    """Graph and failure, without imports between test files."""
    return {"Graph": Graph, "failure": failure}
