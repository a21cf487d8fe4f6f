"""The shipped workflows in the host's real page, in a headless Chromium; screenshots go to output/screenshots."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENSHOTS, chromium, needs_chromium

from dmap.presets import PRESETS
from scripts.host import ROOT, Server

SHIPPED = sorted(file.stem for file in (ROOT / "workflows").glob("*.json"))

__all__ = ["chromium"]
pytestmark = needs_chromium


@pytest.fixture
def page(chromium: Any, server: Server) -> Iterator[Any]:
    """A page of the host at desktop size; fails on an exception in the page."""
    for sample in ("dmap_sample.png", "dmap_old_sample.png"):
        server.upload(ROOT / "workflows" / sample)
    # Only their names are needed, for the list of the checkpoint loader.
    for checkpoint in ("v1-5-pruned-emaonly-fp16", "sd_xl_base_1.0"):
        (server.base / "models" / "checkpoints" / f"{checkpoint}.safetensors").touch()
    faults: list[str] = []
    opened = chromium.new_page(viewport={"width": 2200, "height": 1300})
    opened.on("pageerror", lambda error: faults.append(str(error)))
    # A new frontend asks an old host for pages it has not (404); only messages about this pack are ours.
    opened.on("console", lambda m: faults.append(m.text) if m.type == "error" and "DMAP" in m.text else None)
    yield opened
    opened.close()
    assert not faults, faults


def open_template(page: Any, server: Server, name: str) -> list[dict[str, Any]]:
    """Open a template as a link does; returns the canvas's nodes."""
    page.goto(f"http://127.0.0.1:{server.port}/?template={name}&source=ComfyUI-DMAP")
    page.wait_for_function("() => window.app?.graph?._nodes?.some(n => n.type === 'DMAPDecode')", timeout=120_000)
    page.wait_for_timeout(2000)
    nodes: list[dict[str, Any]] = page.evaluate(
        "() => window.app.graph._nodes.map(n => ({type: n.type, known: n.type in LiteGraph.registered_node_types"
        " || n.type === 'MarkdownNote', errors: !!n.has_errors, links: (n.inputs || []).filter(i => i.link).length}))"
    )
    return nodes


@pytest.mark.parametrize("name", SHIPPED)
def test_a_template_opens_without_a_red_node(page: Any, server: Server, name: str) -> None:
    nodes = open_template(page, server, name)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    assert [node["type"] for node in nodes if not node["known"] or node["errors"]] == []
    optimise = [node for node in nodes if node["type"] == "DMAPOptimize"]
    assert optimise
    assert all(node["links"] >= 4 for node in optimise)


def test_the_template_list_shows_the_pack(page: Any, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.wait_for_function("() => window.app?.graph", timeout=120_000)
    page.wait_for_timeout(3000)
    dialog = page.get_by_text("ComfyUI-DMAP").first
    if not dialog.is_visible():
        page.get_by_text("Templates", exact=True).first.click()
    dialog.wait_for(timeout=60_000)
    dialog.click()
    page.get_by_text("restore_demo").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    page.screenshot(path=SCREENSHOTS / "templates.png")


def test_the_demo_runs_by_the_button(page: Any, server: Server) -> None:
    """Progress and text on the nodes while it runs, pictures in the save nodes when it is done."""
    open_template(page, server, "restore_demo")
    page.evaluate(
        "() => { const n = window.app.graph._nodes.find(n => n.type === 'DMAPOptimize');"
        " n.widgets.find(w => w.name === 'iterations').value = 3; }"
    )
    page.evaluate(
        "() => { window.dmapSeen = {}; for (const kind of ['b_preview', 'b_preview_with_metadata', 'progress_text'])"
        " window.comfyAPI.api.api.addEventListener(kind, () => { window.dmapSeen[kind] = true; }); }"
    )
    page.get_by_text("Run", exact=True).first.click()
    deadline, seen_progress = time.monotonic() + 240, False
    done = "() => window.app.graph._nodes.filter(n => n.type === 'SaveImage').every(n => n.imgs?.length)"
    while not page.evaluate(done):
        assert time.monotonic() < deadline, "the demo did not finish"
        if not seen_progress and page.evaluate("() => window.app.graph._nodes.some(n => n.progress > 0)"):
            seen_progress = True
            page.screenshot(path=SCREENSHOTS / "running.png")
        page.wait_for_timeout(200)
    page.wait_for_timeout(1500)
    page.screenshot(path=SCREENSHOTS / "done.png")
    assert seen_progress
    seen = page.evaluate("() => window.dmapSeen")
    assert seen.get("b_preview") or seen.get("b_preview_with_metadata"), "no preview of the current image came"
    assert seen.get("progress_text"), "no line with the terms and the time left came"
    assert list(Path(server.base / "output").glob("DMAP_restored_*.png"))


def widgets(page: Any, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        "kind => Object.fromEntries(window.app.graph._nodes.find(n => n.type === kind).widgets"
        ".map(w => [w.name, w.value]))",
        kind,
    )
    return found


CHOOSE = (
    "([kind, name, value]) => { const w = window.app.graph._nodes.find(n => n.type === kind).widgets"
    ".find(w => w.name === name); w.value = value; w.callback(value); }"
)


def test_a_preset_sets_the_widgets(page: Any, server: Server) -> None:
    """On both nodes, where everyone sees it; a widget changed by hand makes it custom; saving keeps it."""
    open_template(page, server, "restore_demo")
    for name in ("strong", "paper", "gentle photo"):
        page.evaluate(CHOOSE, ["DMAPOptimize", "preset", name])
        for kind, part in (("DMAPOptimize", PRESETS[name].optimize), ("DMAPInvert", PRESETS[name].invert)):
            shown = widgets(page, kind)
            assert shown["preset"] == name
            assert {key: shown[key] for key in part} == dict(part)
    page.screenshot(path=SCREENSHOTS / "preset.png")
    page.evaluate(CHOOSE, ["DMAPOptimize", "fidelity_weight", 77])
    assert widgets(page, "DMAPOptimize")["preset"] == "custom"
    assert widgets(page, "DMAPInvert")["preset"] == "gentle photo"
