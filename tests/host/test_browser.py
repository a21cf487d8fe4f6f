"""The shipped workflows in the host's real page, in a headless Chromium; screenshots go to output/screenshots."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENSHOTS, chromium, needs_chromium

from dmap.settings import PRESETS
from tools.host.server import ROOT, Server

SAMPLES = ("dmap_sample.png", "dmap_old_sample.png")
VALUES = "() => window.app.graph.serialize().nodes.filter(n => n.type.startsWith('DMAP')).map(n => n.widgets_values)"
OPEN = "() => window.app?.graph?._nodes?.some(n => ['DMAPDecode', 'DMAPSelfCheck'].includes(n.type))"
SHIPPED = sorted(file.stem for file in (ROOT / "workflows").glob("*.json"))

__all__ = ["chromium"]
pytestmark = needs_chromium


# What a new frontend asks an old host for, and what its own first graph asks the network for; nothing of it is ours.
NOT_OURS = re.compile(
    r"/user\.css|/api/userdata|/api/jobs|/templates/index|JobsApiError|core workflow templates|missingModelMetadata"
)


@pytest.fixture
def page(chromium: Any, server: Server) -> Iterator[Any]:
    """A page of the host at desktop size; fails on an exception in the page or an error in its console."""
    # Only their names are needed, for the list of the checkpoint loader.
    for checkpoint in ("v1-5-pruned-emaonly-fp16", "sd_xl_base_1.0"):
        (server.base / "models" / "checkpoints" / f"{checkpoint}.safetensors").touch()
    faults: list[str] = []
    opened = chromium.new_page(viewport={"width": 2200, "height": 1300})
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda m: faults.append(f"{m.text} {m.location}") if m.type == "error" else None)
    yield opened
    opened.close()
    assert [fault for fault in faults if not NOT_OURS.search(fault)] == []


def open_template(page: Any, server: Server, name: str) -> list[dict[str, Any]]:
    """Open a template as a link does; returns the canvas's nodes."""
    page.goto(f"http://127.0.0.1:{server.port}/?template={name}&source=ComfyUI-DMAP")
    page.wait_for_function(OPEN, timeout=120_000)
    page.wait_for_timeout(2000)
    nodes: list[dict[str, Any]] = page.evaluate(
        "() => window.app.graph._nodes.map(n => ({type: n.type, known: n.type in LiteGraph.registered_node_types"
        " || n.type === 'MarkdownNote', errors: !!n.has_errors, pictures: n.imgs?.length ?? 0,"
        " links: (n.inputs || []).filter(i => i.link).length}))"
    )
    return nodes


@pytest.mark.parametrize("name", SHIPPED)
def test_a_template_opens_without_a_red_node(page: Any, server: Server, name: str) -> None:
    """As after a fresh installation: the sample photograph comes with the template and is shown on its node."""
    for sample in SAMPLES:
        (server.base / "input" / sample).unlink(missing_ok=True)
    nodes = open_template(page, server, name)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    assert [node["type"] for node in nodes if not node["known"] or node["errors"]] == []
    working = [node for node in nodes if node["type"] in ("DMAPOptimize", "DMAPSelfCheck")]
    assert working
    assert all(node["links"] >= 4 for node in working)
    (brought,) = [sample for sample in SAMPLES if (server.base / "input" / sample).exists()]
    assert (server.base / "input" / brought).read_bytes() == (ROOT / "workflows" / brought).read_bytes()
    assert [node["pictures"] for node in nodes if node["type"] == "LoadImage"] == [1]


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
    shown = page.locator("body").inner_text()
    assert [name for name in SHIPPED if name not in shown] == []


SAYS = "name => window.app.graph._nodes.find(n => n.type === 'DMAPOptimize').widgets.find(w => w.name === name)?.value"


def test_the_demo_runs_by_the_button(page: Any, server: Server) -> None:
    """Progress, picture and terms on the node while it runs; results and a summary when it is done."""
    open_template(page, server, "restore_demo")
    page.evaluate(
        "() => { const n = window.app.graph._nodes.find(n => n.type === 'DMAPOptimize');"
        " n.widgets.find(w => w.name === 'iterations').value = 3; }"
    )
    saved = page.evaluate(f"() => ({VALUES})()")
    page.get_by_text("Run", exact=True).first.click()
    page.wait_for_function(
        "() => { const n = window.app.graph._nodes.find(n => n.type === 'DMAPOptimize');"
        " return n.progress > 0.3 && n.imgs?.length; }",
        timeout=400_000,
        polling=100,
    )
    line = page.evaluate(SAYS, "$$node-text-preview")
    page.wait_for_timeout(300)
    page.screenshot(path=SCREENSHOTS / "running.png")
    assert re.match(r"iteration [123] of 3: objective [\d.-]+, quality [\d.]+, distance [\d.]+, \d+ (s|min) left", line)
    done = "() => window.app.graph._nodes.filter(n => n.type === 'SaveImage').every(n => n.imgs?.length)"
    page.wait_for_function(done, timeout=400_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=SCREENSHOTS / "done.png")
    assert page.evaluate(SAYS, "dmap_said").startswith("quality ")
    assert page.evaluate(f"() => ({VALUES})()") == saved  # what nodes say is no part of the workflow
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
        for kind, stage in (("DMAPOptimize", "ascend"), ("DMAPInvert", "invert")):
            part = PRESETS[name].values(stage)
            shown = widgets(page, kind)
            assert shown["preset"] == name
            assert {key: shown[key] for key in part} == part
    page.screenshot(path=SCREENSHOTS / "preset.png")
    page.evaluate(CHOOSE, ["DMAPOptimize", "fidelity_weight", 77])
    assert widgets(page, "DMAPOptimize")["preset"] == "custom"
    assert widgets(page, "DMAPInvert")["preset"] == "gentle photo"


def test_two_ascents_from_one_inversion_keep_their_own_presets(page: Any, server: Server) -> None:
    open_template(page, server, "compare_settings")
    of = (
        "title => window.app.graph._nodes.find(n => n.title === title && n.type === 'DMAPOptimize')"
        ".widgets.map(w => w.value)"
    )
    gentle = page.evaluate(of, "Gentle")
    page.evaluate(
        "([title, value]) => { const w = window.app.graph._nodes.find(n => n.title === title && n.type ==="
        " 'DMAPOptimize').widgets.find(w => w.name === 'preset'); w.value = value; w.callback(value); }",
        ["Strong", "strong"],
    )
    assert PRESETS["strong"].settings.fidelity_weight in page.evaluate(of, "Strong")
    assert widgets(page, "DMAPInvert")["preset"] == "strong"
    assert page.evaluate(of, "Gentle") == gentle


def test_the_page_in_chinese(page: Any, server: Server) -> None:
    """Names on the canvas; the help page opens in it and shows its picture."""
    server.request("/settings/Comfy.Locale", json.dumps("zh").encode())
    try:
        open_template(page, server, "restore_demo")
        titles = page.evaluate("() => window.app.graph._nodes.map(n => n.title)")
        labels = page.evaluate(
            "() => window.app.graph._nodes.find(n => n.type === 'DMAPOptimize').widgets.map(w => w.label)"
        )
        page.screenshot(path=SCREENSHOTS / "chinese.png")
    finally:
        server.request("/settings/Comfy.Locale", json.dumps("en").encode())
    names = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text())
    expected = {names[node]["display_name"] for node in ("DMAPInvert", "DMAPOptimize", "DMAPDecode")}
    widgets_expected = {names["DMAPOptimize"]["inputs"][name]["name"] for name in ("iterations", "fidelity_weight")}
    assert not any(name.isascii() for name in expected | widgets_expected)
    assert expected <= set(titles)
    assert widgets_expected <= set(labels)
