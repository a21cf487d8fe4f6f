"""What the Comfy registry gives out, the repository less what .comfyignore names, is a pack that works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pathspec
import pytest
from PIL import Image

import dmap
from checkout import ROOT, copy, tracked
from tools.host import workflow
from tools.host.server import Server

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MEBIBYTES = 36
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMPORT_ALL = """
import importlib, pkgutil, dmap
names = [found.name for found in pkgutil.walk_packages(dmap.__path__, "dmap.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names))
"""


@pytest.fixture(scope="module")
def members() -> list[str]:
    """The archive's files, as the registry's publishing command chooses them."""
    lines = (ROOT / ".comfyignore").read_text().splitlines()
    left_out = pathspec.GitIgnoreSpec.from_lines(lines)
    return [name for name in tracked() if not left_out.match_file(name)]


@pytest.fixture(scope="module")
def archive(members: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive unpacked, in a folder named as the registry's installers name it."""
    folder: Path = tmp_path_factory.mktemp("registry") / PROJECT["project"]["name"]
    copy(members, folder)
    return folder


@pytest.fixture(scope="module")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host whose only pack is the unpacked archive."""
    server = Server(tmp_path_factory.mktemp("comfyui"))
    server.packs = {archive.name: archive}
    with server as running:
        with Image.open(archive / "workflows" / "dmap_sample.png") as photograph:
            photograph.crop((160, 60, 288, 188)).save(running.base / "input" / "small.png")
        yield running


def test_it_holds_what_a_user_needs(members: list[str]) -> None:
    needed = {"__init__.py", "pyproject.toml", "requirements.txt", "LICENSE", "README.md", "CHANGELOG.md"}
    needed |= {
        name
        for name in tracked()
        if name.startswith(("nodes/", "web/", "locales/", "subgraphs/", "workflows/", "dmap/models/"))
    }
    assert needed <= set(members)


def test_it_holds_nothing_else(members: list[str], tmp_path: Path) -> None:
    folders = {name.split("/")[0] for name in members if "/" in name}
    assert folders == {"dmap", "nodes", "web", "locales", "subgraphs", "workflows", "docs"}
    assert {Path(name).suffix for name in members if name.startswith("docs/")} == {".md"}
    with zipfile.ZipFile(tmp_path / "node.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in members:
            packed.write(ROOT / name, name)
    assert (tmp_path / "node.zip").stat().st_size < MEBIBYTES << 20


def test_all_of_the_library_imports(archive: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=archive, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 80


def test_a_host_has_its_nodes_templates_and_pages(installed: Server, archive: Path) -> None:
    interface = json.loads((ROOT / "tests" / "host" / "node_interface.json").read_text())
    assert set(interface) <= set(installed.get("/object_info"))
    shipped = {file.stem for file in (archive / "workflows").glob("*.json")}
    assert set(installed.get("/workflow_templates")[archive.name]) == shipped
    for name in ("dmap_sample.png", "dmap_old_sample.png", "restore_demo.json", "restore_demo.jpg"):
        assert installed.request(f"/api/workflow_templates/{archive.name}/{name}")
    scripts = {file.name for file in (archive / "web").glob("*.js")}
    served = {Path(path).name for path in installed.get("/extensions") if f"/{archive.name}/" in path}
    assert served == scripts


def test_its_demo_runs(installed: Server) -> None:
    prompt = workflow.to_prompt(
        workflow.load(ROOT / "workflows" / "restore_demo.json"),
        installed.get("/object_info"),
        {"LoadImage": {"image": "small.png"}, "DMAPOptimize": {"iterations": 1}, "DMAPInvert": {"steps": 2}},
    )
    outputs = installed.run(prompt)
    assert any("images" in output for output in outputs.values())


def test_there_is_one_version() -> None:
    """The registry reads a literal, the library has its own; the changelog names it."""
    version = PROJECT["project"]["version"]
    assert version == dmap.__version__
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_library_asks_for_what_it_imports() -> None:
    """``pip install .`` brings all that plain restoring needs."""
    named = {re.split("[<>=!~ ]", entry)[0] for entry in PROJECT["project"]["dependencies"]}
    assert named == {"torch", "numpy", "safetensors", "pillow"}


def test_the_registry_s_pictures_have_its_sizes() -> None:
    """An icon is square with 400 pixels at most, a banner is 21:9."""
    with Image.open(ROOT / "docs" / "icon.jpg") as icon:
        assert icon.width == icon.height <= 400
    with Image.open(ROOT / "docs" / "banner.jpg") as banner:
        assert banner.width * 9 == banner.height * 21


def test_the_browser_extensions_bear_the_pack_s_name() -> None:
    """Of two with one name the browser keeps one. The public lint asks for the display name's letters in front."""
    display: Any = PROJECT["tool"]["comfy"]["DisplayName"]
    namespace = "".join(letter for letter in display.lower() if letter.isalnum())
    for file in (ROOT / "web").glob("*.js"):
        assert f'name: "{namespace}.{file.stem}"' in file.read_text()


def test_the_page_scripts_import_only_what_is_public() -> None:
    """``app`` is what the frontend hands to extensions; its other modules move without notice."""
    for file in (ROOT / "web").glob("*.js"):
        found = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("import")]
        assert found == ['import { app } from "../../scripts/app.js";'], file.name
