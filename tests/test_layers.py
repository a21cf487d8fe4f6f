"""The house keeps its order: what may import what, read from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLKITS = ("tools", "tests")
FORBIDDEN = {
    # The library knows neither host nor developers' tools; the method knows no files, models, commands, comparisons.
    "dmap": ("nodes", "comfy", "comfy_api", "folder_paths", *TOOLKITS),
    "dmap/method": ("dmap.cli", "dmap.compare", "dmap.models", "dmap.image.files", "dmap.image.plot", "PIL"),
    "dmap/image": ("dmap.cli", "dmap.compare", "dmap.models"),
    "dmap/memory": ("dmap.cli", "dmap.compare", "dmap.models", "dmap.priors", "dmap.image", "PIL"),
    "dmap/priors": ("dmap.cli", "dmap.compare", "dmap.method", "dmap.memory", "dmap.image"),
    "dmap/degradations": ("dmap.cli", "dmap.compare", "dmap.models", "dmap.method", "dmap.priors"),
    "dmap/models": ("dmap.cli", "dmap.compare", "dmap.priors", "dmap.image"),
    "dmap/batch": (
        "dmap.cli",
        "dmap.compare",
        "dmap.folders",
        "dmap.image",
        "dmap.method",
        "dmap.memory",
        "dmap.models",
        "dmap.priors",
        "dmap.restoration",
        "PIL",
    ),
    "dmap/folders": ("dmap.cli", "dmap.compare"),
    "dmap/compare": ("dmap.cli", "dmap.folders"),
    "nodes": ("dmap.cli", *TOOLKITS),
}
"""Of a folder, subfolders included: modules that nothing in it imports."""


def imports(file: Path) -> Iterator[str]:
    """Absolute names of all modules that a file of the pack imports."""
    package = file.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = [*start, *([node.module] if node.module else [])]
            yield from (".".join([*module, alias.name]) for alias in node.names)


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_folder_imports_only_what_lies_below_it(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imports(file)
        if any(name == one or name.startswith(f"{one}.") for one in FORBIDDEN[folder])
    ]
    assert not wrong


def test_imports_are_found_in_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "dmap" / "method" / "x.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import tools.demo\nfrom tools import niqe\nfrom ..cli import main\ndef f():\n    from . import y\n"
    )
    assert list(imports(file)) == ["tools.demo", "tools.niqe", "dmap.cli.main", "dmap.method.y"]
