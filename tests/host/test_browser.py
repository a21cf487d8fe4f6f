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

VALUES = (
    "() => window.app.graph.serialize().nodes.filter(n => n.type.startsWith('DMAP')).map(n => n.widgets_values ?? [])"
)
OPEN = "() => window.app?.graph?._nodes?.some(n => n.type === 'LoadImage' && n.title === 'Photograph')"
GEOMETRY = (Path(__file__).parent.parent / "geometry.js").read_text(encoding="utf-8")
LEGIBLE = 8 / 14
"""Scale below which the host draws boxes without text: a label of 14 pixels is then smaller than 8."""
LOADERS = ("UNETLoader", "CLIPLoader", "VAELoader")
NEED_CHECKPOINTS = {"restore_flow", "restore_sd15", "restore_sdxl", "restore_hybrid_prior"}
ONE_NODE = "restore_photo"
OLD = Path(__file__).with_name("old_workflow.json")
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
    opened = chromium.new_page(viewport={"width": 1920, "height": 1080})
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
        " || n.type === 'MarkdownNote' || !!n.isSubgraphNode?.(), errors: !!n.has_errors,"
        " pictures: n.imgs?.length ?? 0,"
        " links: (n.inputs || []).filter(i => i.link).length}))"
    )
    return nodes


def nodes_2(server: Server, on: bool) -> None:
    server.request("/settings/Comfy.VueNodes.Enabled", json.dumps(on).encode())


QUICK = """photograph => {
  const inner = [...(app.graph.subgraphs?.values() ?? [])].flatMap(graph => graph._nodes);
  for (const node of inner.filter(node => node.dmapPresets)) {
    node.disconnectInput(node.inputs.findIndex(input => input.name === 'preset'));
    node.widgets.find(w => w.name === 'preset').value = 'custom';
  }
  for (const node of [...app.graph._nodes, ...inner])
    for (const [kind, name, value] of [['LoadImage', 'image', photograph], ['DMAPInvert', 'steps', 1],
        ['DMAPOptimize', 'iterations', 1], ['DMAPTiles', 'tile', 64], ['DMAPTiles', 'overlap', 16]])
      if (node.type === kind) node.widgets.find(w => w.name === name).value = value;
}"""
RUN = """() => new Promise((done) => {
  app.api.addEventListener('execution_success', () => done(''), { once: true });
  app.api.addEventListener('execution_error', (event) => done(event.detail.exception_message), { once: true });
  app.queuePrompt(0);
})"""


def run_quickly(page: Any, name: str) -> None:
    """Run what is open, with few iterations of a small photograph, and wait for its pictures."""
    page.evaluate(QUICK, "scratched.png" if "old" in name else "wide.png")
    page.set_default_timeout(300_000)
    assert page.evaluate(RUN) == ""
    page.wait_for_timeout(1500)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_template_is_whole_readable_and_tidy_before_and_after_a_run(page: Any, server: Server, name: str) -> None:
    """As after a fresh installation, on a screen of 1920 x 1080 at first sight.

    No node is red, and the sample photograph comes with the template and is shown on its node; text is drawn, nothing
    lies on anything, no link is hidden.
    """
    for sample in (server.base / "input").glob("dmap_*sample*"):
        sample.unlink()
    nodes_2(server, False)
    nodes = open_template(page, server, name)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    assert [node["type"] for node in nodes if not node["known"]] == []
    # The files of other people's models are not here, which the host tells of on their loaders.
    assert [node["type"] for node in nodes if node["errors"] and node["type"] not in LOADERS] == []
    working = [node for node in nodes if node["type"] in ("DMAPOptimize", "DMAPSelfCheck")]
    assert working or name == ONE_NODE
    assert all(node["links"] >= 4 for node in working)
    (brought,) = (server.base / "input").glob("dmap_*sample*")
    assert brought.read_bytes() == (ROOT / "workflows" / brought.name).read_bytes()
    assert [node["pictures"] for node in nodes if node["type"] == "LoadImage"] == [1]
    assert page.evaluate("() => window.app.canvas.ds.scale") > LEGIBLE
    assert page.evaluate(GEOMETRY, False) == []
    if name not in NEED_CHECKPOINTS:
        run_quickly(page, name)
        page.screenshot(path=SCREENSHOTS / f"{name}_done.png")
        assert page.evaluate(GEOMETRY, False) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_template_is_tidy_in_nodes_2(page: Any, server: Server, name: str) -> None:
    nodes_2(server, True)
    try:
        open_template(page, server, name)
        page.screenshot(path=SCREENSHOTS / f"{name}_nodes_2.png")
        assert page.evaluate(GEOMETRY, True) == []
        if name == "restore_demo":
            run_quickly(page, name)
            page.screenshot(path=SCREENSHOTS / f"{name}_nodes_2_done.png")
            assert page.evaluate(GEOMETRY, True) == []
            box = page.locator(".dmap_said").filter(has_text="quality ")
            assert box.inner_text().startswith("quality ")
            assert "memory" not in box.inner_text()
            assert box.evaluate("box => box.scrollHeight <= box.clientHeight + 1")
    finally:
        nodes_2(server, False)


def test_before_and_after_stand_in_the_hosts_slider_where_it_works(page: Any, server: Server) -> None:
    known = "ImageCompare" in server.get("/object_info")
    for on in (False, True):
        nodes_2(server, on)
        try:
            nodes = open_template(page, server, "restore_demo")
        finally:
            nodes_2(server, False)
        kinds = [node["type"] for node in nodes]
        assert (kinds.count("ImageCompare"), kinds.count("PreviewImage")) == ((1, 0) if known and on else (0, 1))


def test_few_widgets_are_shown_and_the_preset_first(page: Any, server: Server) -> None:
    """On the canvas by this pack, in Nodes 2.0 by the host; a button shows the others."""
    open_template(page, server, "restore_demo")
    shown = (
        "kind => { const n = window.app.graph._nodes.find(n => n.type === kind);"
        " return n.widgets.filter(w => !w.hidden).map(w => w.name); }"
    )
    assert page.evaluate(shown, "DMAPOptimize") == ["preset", "iterations", "fidelity_weight", "dmap_more"]
    assert page.evaluate(shown, "DMAPInvert") == ["preset", "steps", "strength", "dmap_more"]
    page.evaluate(
        "() => window.app.graph._nodes.find(n => n.type === 'DMAPOptimize').widgets"
        ".find(w => w.name === 'dmap_more').callback()"
    )
    assert len(page.evaluate(shown, "DMAPOptimize")) == 16
    advanced = {"prior_weight", "fidelity", "rule", "step_size", "target_score", "shift", "seed", "feather"}
    inputs = server.get("/object_info/DMAPOptimize")["DMAPOptimize"]["input"]
    specs = {**inputs["required"], **inputs["optional"]}
    assert {name for name, spec in specs.items() if spec[1].get("advanced")} == advanced | {
        "gradient",
        "detail",
        "scale",
    }


def test_an_old_workflow_keeps_its_values(page: Any, server: Server) -> None:
    """As saved before the preset came first: each value is where it was, shown and saved again in the same order."""
    open_template(page, server, "self_check")
    old = json.loads(OLD.read_text(encoding="utf-8"))
    page.evaluate("old => window.app.loadGraphData(old)", old)
    page.wait_for_timeout(1500)
    again = page.evaluate("() => window.app.graph.serialize()")
    saved = {node["id"]: node.get("widgets_values") for node in again["nodes"]}
    for node in old["nodes"]:
        if node["type"] in ("DMAPInvert", "DMAPOptimize"):
            later = ["absolute"] if node["type"] == "DMAPOptimize" else []  # widgets that came afterwards
            assert saved[node["id"]] == [*node["widgets_values"], *later], node["type"]
    assert widgets(page, "DMAPOptimize") | {
        "iterations": 13,
        "detail": "0.5",
        "preset": "custom",
        "seed": 7,
    } == widgets(page, "DMAPOptimize")
    page.evaluate("saved => window.app.loadGraphData(saved)", again)  # as this page has saved it
    page.wait_for_timeout(1500)
    assert page.evaluate("() => window.app.graph.serialize()")["nodes"][-1] == again["nodes"][-1]
    for node in old["nodes"]:  # older than the last widgets
        if node["type"] == "DMAPOptimize":
            node["widgets_values"] = node["widgets_values"][:11]
    page.evaluate("old => window.app.loadGraphData(old)", old)
    page.wait_for_timeout(1500)
    found = widgets(page, "DMAPOptimize")
    assert (found["iterations"], found["preset"], found["gradient"], found["detail"]) == (13, "custom", "auto", "auto")


def test_the_search_finds_optimize_first(page: Any, server: Server) -> None:
    """Of this pack, behind the blueprint where its name has the word; the host puts names with the word before aliases.

    Hosts that hand on no aliases get them from the page.
    """
    open_template(page, server, "self_check")
    for word in ("denoise", "upscale", "enhance", "restore"):
        page.keyboard.press("Escape")
        page.wait_for_timeout(500)
        page.mouse.dblclick(1700, 700)
        page.wait_for_timeout(1000)
        page.keyboard.type(word)
        page.get_by_role("option").filter(has_text="DMAP Optimize").first.wait_for(timeout=30_000)
        page.screenshot(path=SCREENSHOTS / f"search_{word}.png")
        options = page.locator("[role=option]").all_inner_texts()
        ours = [option for option in options if "DMAP" in option]
        first = ["Restore photo (DMAP)", "DMAP Optimize"] if word == "restore" else ["DMAP Optimize"]
        assert [name in found for name, found in zip(first, ours, strict=False)] == [True] * len(first), (word, ours)


def test_the_template_list_shows_the_pack(page: Any, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.wait_for_function("() => window.app?.graph", timeout=120_000)
    page.wait_for_timeout(3000)
    dialog = page.get_by_text("ComfyUI-DMAP").first
    if not dialog.is_visible():
        page.get_by_text("Templates", exact=True).first.click()
    dialog.wait_for(timeout=60_000)
    dialog.click()
    page.get_by_text("restore_photo").first.wait_for(timeout=60_000)
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
    page.wait_for_timeout(300)
    page.screenshot(path=SCREENSHOTS / "running.png")
    # The line comes as a message of its own, after the progress on a busy machine.
    terms = r"iteration [123] of 3: objective [\d.-]+, quality [\d.]+, distance [\d.]+, \d+ (s|min) left"
    says = f"({SAYS})('$$node-text-preview')"
    page.wait_for_function(f"() => /^{terms}/.test({says})", timeout=400_000, polling=100)
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


BLUEPRINT = "Restore photo (DMAP)"


def test_the_blueprint_is_offered_and_is_the_first_templates_node(page: Any, server: Server) -> None:
    """Image in, image out, preset and strength; the host offers it beside the single nodes."""
    offered = server.get("/global_subgraphs")
    assert BLUEPRINT in [one["name"] for one in offered.values()]
    shipped = json.loads((ROOT / "subgraphs" / f"{BLUEPRINT}.json").read_text(encoding="utf-8"))
    template = json.loads((ROOT / "workflows" / f"{ONE_NODE}.json").read_text(encoding="utf-8"))
    assert shipped["definitions"] == template["definitions"]
    open_template(page, server, ONE_NODE)
    node = (
        "() => { const n = window.app.graph._nodes.find(n => n.isSubgraphNode?.());"
        " return [n.inputs.map(i => i.name), n.outputs.map(o => o.name), n.widgets.map(w => [w.name, w.value])]; }"
    )
    inputs, outputs, shown = page.evaluate(node)
    assert inputs == ["image", "preset", "strength"]
    assert outputs == ["image"]
    assert shown == [["preset", "default"], ["strength", 1]]


SEND = "() => window.app.graphToPrompt().then(({ output }) => Object.values(JSON.parse(JSON.stringify(output))))"


def test_a_subgraphs_preset_is_not_overridden_from_inside(page: Any, server: Server) -> None:
    """What the subgraph's widget says is sent; inside, what nobody has set is left to it, what is set is not."""
    open_template(page, server, ONE_NODE)
    page.evaluate(
        "() => { const n = window.app.graph._nodes.find(n => n.isSubgraphNode?.());"
        " n.widgets.find(w => w.name === 'preset').value = 'strong';"
        " const inner = n.subgraph._nodes.find(n => n.type === 'DMAPOptimize');"
        " const w = inner.widgets.find(w => w.name === 'iterations'); w.value = 3; w.callback?.(3); }"
    )
    sent = {node["class_type"]: node["inputs"] for node in page.evaluate(SEND)}
    assert sent["DMAPOptimize"]["preset"] == sent["DMAPInvert"]["preset"] == "strong"
    assert sent["DMAPOptimize"]["iterations"] == 3
    optional = server.get("/object_info/DMAPOptimize")["DMAPOptimize"]["input"]["optional"]
    for name in PRESETS["strong"].values("ascend"):
        assert (name in sent["DMAPOptimize"]) == (name not in optional or name == "iterations"), name


def test_a_seed_without_an_effect_repeats_nothing(page: Any, server: Server) -> None:
    """The host runs a node again for a new value, also for one that changes no pixel."""
    open_template(page, server, "restore_demo")
    sent = (
        "([shift, seed]) => { const n = window.app.graph._nodes.find(n => n.type === 'DMAPOptimize');"
        " const w = name => n.widgets.find(w => w.name === name); w('control_after_generate').value = 'randomize';"
        " w('shift').value = shift; w('seed').value = seed; return window.app.graphToPrompt()"
        ".then(({ output, workflow }) => [Object.values(output).find(n => n.class_type === 'DMAPOptimize').inputs.seed,"
        " workflow.nodes.find(n => n.type === 'DMAPOptimize').widgets_values.includes(seed)]); }"
    )
    assert page.evaluate(sent, [8, 123]) == [123, True]
    assert page.evaluate(sent, [0, 123]) == page.evaluate(sent, [0, 123]) == [0, True]


def test_a_preset_inside_a_subgraph_says_that_it_did_not_reach_its_partner(page: Any, server: Server) -> None:
    """Where DMAP Invert has its preset from outside it keeps it, and the page says so; not where all is well."""
    open_template(page, server, ONE_NODE)
    said, invert = page.evaluate(
        "() => { const said = [], toast = window.app.extensionManager.toast;"
        " toast.add = (message) => said.push(message.detail);"
        " const all = window.app.graph._nodes.find(n => n.isSubgraphNode?.()).subgraph._nodes;"
        " const [optimize, invert] = ['DMAPOptimize', 'DMAPInvert'].map(kind => all.find(n => n.type === kind));"
        " optimize.disconnectInput(optimize.inputs.findIndex(i => i.name === 'preset'));"
        " const w = optimize.widgets.find(w => w.name === 'preset'); w.value = 'strong'; w.callback('strong');"
        " return [said, invert.widgets.map(w => [w.name, w.value])]; }"
    )
    assert len(said) == 1
    assert "strong" in said[0]
    assert dict(map(tuple, invert))["steps"] == PRESETS["default"].settings.steps
    open_template(page, server, "restore_demo")
    said = page.evaluate(
        "() => { const said = [], toast = window.app.extensionManager.toast;"
        " toast.add = (message) => said.push(message.detail);"
        " const { widgets } = window.app.graph._nodes.find(n => n.type === 'DMAPOptimize');"
        " const w = widgets.find(w => w.name === 'preset');"
        " w.value = 'strong'; w.callback('strong'); return said; }"
    )
    assert said == []


def test_a_preset_leaves_a_linked_widget_alone(page: Any, server: Server) -> None:
    open_template(page, server, "restore_demo")
    value = page.evaluate(
        "() => { const { graph } = window.app; const number = LiteGraph.createNode('PrimitiveInt'); graph.add(number);"
        " const n = graph._nodes.find(n => n.type === 'DMAPOptimize');"
        " const w = name => n.widgets.find(w => w.name === name);"
        " number.connect(0, n, n.inputs.findIndex(i => i.name === 'iterations'));"
        " w('iterations').value = 5; w('preset').value = 'strong'; w('preset').callback('strong');"
        " return [w('iterations').value, w('fidelity_weight').value]; }"
    )
    assert value == [5, PRESETS["strong"].settings.fidelity_weight]
