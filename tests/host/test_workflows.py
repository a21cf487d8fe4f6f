"""The shipped workflow files in a real host."""

from __future__ import annotations

import ast
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dmap.settings import PRESETS
from tools.host import workflow
from tools.host.server import ROOT, Server
from tools.pages import english, node_pictures, thumbnails

WORKFLOWS = ROOT / "workflows"
NEED_CHECKPOINTS = {"restore_flow", "restore_sd15", "restore_sdxl", "restore_hybrid_prior"}
SELF_CHECK = "self_check"
SHIPPED = sorted(file.stem for file in WORKFLOWS.glob("*.json"))
INTERFACE = Path(__file__).with_name("node_interface.json")


TITLE = 30
"""Height of a node's title, which lies above its position, and of a group's."""

FIRST = ("iterations", "prior_weight", "fidelity", "fidelity_weight", "rule", "step_size", "target_score", "shift")
"""Widgets of DMAP Optimize before its seed."""

FILE_LISTS = {("DMAPLoadPath", "file"), ("DMAPLoadPrior", "name")}
"""Widgets whose options are, or depend on, the files at hand."""


def picture(server: Server, saved: dict[str, str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(Image.open(io.BytesIO(server.image(saved))).convert("RGB"), dtype=np.float64) / 255


def by_title(prompt: dict[str, Any], outputs: dict[str, Any], title: str) -> dict[str, Any]:
    key = next(key for key, node in prompt.items() if node["_meta"]["title"] == title and key in outputs)
    found: dict[str, Any] = outputs[key]
    return found


def trace_of(prompt: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    (key,) = workflow.nodes_of(prompt, "DMAPOptimize")
    trace: dict[str, Any] = json.loads(outputs[key]["dmap_trace"][0])
    return trace


def test_restore_demo(server: Server, demo_prompt: dict[str, Any]) -> None:
    (optimise,) = workflow.nodes_of(demo_prompt, "DMAPOptimize")
    demo_prompt[optimise]["inputs"]["iterations"] = 8  # the view shifts in each, so the first few may score lower
    demo_prompt[optimise]["inputs"]["fidelity_weight"] = 60.0  # a careful one may well leave a stamp as it is cleaned
    demo_prompt[optimise]["inputs"]["target_score"] = 200.0
    outputs = server.run(demo_prompt)
    photograph = np.asarray(Image.open(server.base / "input" / "small.png").convert("RGB"), dtype=np.float64) / 255
    restored = picture(server, by_title(demo_prompt, outputs, "Restored")["images"][0])
    assert restored.shape == photograph.shape
    difference = float(np.sqrt(((restored - photograph) ** 2).mean()))
    assert 0.001 < difference < 0.1
    trace = trace_of(demo_prompt, outputs)
    assert len(trace["rows"]) == 9
    assert max(row["objective"][0] for row in trace["rows"]) > trace["rows"][0]["objective"][0]
    plot = picture(server, by_title(demo_prompt, outputs, "Trace")["images"][0])
    assert plot.shape == (640, 960, 3)
    (key,) = workflow.nodes_of(demo_prompt, "DMAPInvert")
    error = float(outputs[key]["text"][0].splitlines()[0].removeprefix("round-trip error "))
    assert error < 1e-4


def test_the_same_seed_gives_the_same_image(server: Server, demo_prompt: dict[str, Any]) -> None:
    (key,) = workflow.nodes_of(demo_prompt, "DMAPOptimize")
    results = []
    for seed in (1, 2, 1):
        demo_prompt[key]["inputs"]["seed"] = seed
        outputs = server.run(demo_prompt)
        results.append(trace_of(demo_prompt, outputs)["rows"][-1]["objective"])
        server.free()
    assert results[0] == results[2]
    assert results[0] != results[1]


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - NEED_CHECKPOINTS - {SELF_CHECK}))
def test_the_demo_models_run_it(server: Server, definitions: dict[str, Any], name: str) -> None:
    """Every template that needs no checkpoint, end to end at 96 px with one iteration."""
    saved = workflow.load(WORKFLOWS / f"{name}.json")
    kinds = {node["type"] for node in saved["nodes"]}
    photograph = "scratched.png" if "DMAPDegradationInpaint" in kinds else "tiny.png"
    overrides: dict[str, dict[str, Any]] = {"LoadImage": {"image": photograph}}
    if quick := name != "restore_photo":  # there the preset comes by a link and says all
        overrides |= {
            "DMAPInvert": {"steps": 1, "preset": "custom"},
            "DMAPOptimize": {"iterations": 1, "preset": "custom"},
        }
    if "DMAPTiles" in kinds:
        overrides["DMAPTiles"] = {"tile": 64, "overlap": 16}
    prompt = workflow.to_prompt(saved, definitions, overrides)
    outputs = server.run(prompt)
    pictures = [by_title(prompt, outputs, "Restored")["images"][0]]
    (slider,) = workflow.nodes_of(prompt, workflow.SLIDER) or [None]
    if slider is None:  # an older host
        pictures += [outputs[key]["images"][0] for key in workflow.nodes_of(prompt, "PreviewImage")]
        assert len(pictures) == (1 if name == "compare_settings" else 2)
    else:
        pictures += [outputs[slider][side][0] for side in ("a_images", "b_images")]
    assert all(picture(server, one).std() > 0.01 for one in pictures)
    for key in workflow.nodes_of(prompt, "DMAPOptimize"):
        assert len(json.loads(outputs[key]["dmap_trace"][0])["rows"]) == 2 or not quick


def test_the_self_check(server: Server, definitions: dict[str, Any]) -> None:
    """It says that the demo models work, exactly, and with what."""
    prompt = workflow.to_prompt(
        workflow.load(WORKFLOWS / f"{SELF_CHECK}.json"), definitions, {"LoadImage": {"image": "small.png"}}
    )
    (key,) = workflow.nodes_of(prompt, "DMAPSelfCheck")
    prompt["100"] = {"class_type": "PreviewAny", "inputs": {"source": [key, 0]}, "_meta": {"title": "all"}}
    outputs = server.run(prompt)
    found = json.loads(outputs["100"]["text"][0])
    assert found["works"]
    assert found["round_trip_error"] < 1e-5
    assert found["gradient_error"] < 0.02
    assert found["comfyui"] == server.get("/system_stats")["system"]["comfyui_version"]
    assert found["peak_memory_gib"] > 0.1
    shown = outputs[key]["text"][0]
    assert all(part in shown for part in ("DMAP works here", found["torch"], "dynamic VRAM", "memory for an iteration"))


@pytest.mark.slow
def test_restore_sd15(server: Server, definitions: dict[str, Any], sd15: str) -> None:
    """A checkpoint of the real architecture at 128 px; v-prediction is tested with tiny ones (test_models.py)."""
    prompt = workflow.to_prompt(
        workflow.load(WORKFLOWS / "restore_sd15.json"),
        definitions,
        {
            "CheckpointLoaderSimple": {"ckpt_name": sd15},
            "LoadImage": {"image": "small.png"},
            "DMAPInvert": {"steps": 2, "strength": 0.2},
            "DMAPLoadPrior": {"name": "dmap_quality"},
            "DMAPOptimize": {"iterations": 2, "step_size": 0.02, "fidelity_weight": 0.0},
        },
    )
    outputs = server.run(prompt)
    rows = trace_of(prompt, outputs)["rows"]
    assert rows[-1]["objective"][0] > rows[0]["objective"][0]
    assert picture(server, by_title(prompt, outputs, "Restored")["images"][0]).shape == (128, 128, 3)


@pytest.mark.parametrize("name", SHIPPED)
def test_thumbnail_and_note(name: str) -> None:
    """The thumbnail shows the template's own photograph: after a change, python -m tools.pages.thumbnails."""
    saved = workflow.load(WORKFLOWS / f"{name}.json")
    assert "MarkdownNote" in {node["type"] for node in saved["nodes"]}
    (photograph,) = [node["widgets_values"][0] for node in saved["nodes"] if node["type"] == "LoadImage"]
    with Image.open(WORKFLOWS / f"{name}.jpg") as file, Image.open(WORKFLOWS / photograph) as sample:
        shown, whole = file.convert("RGB"), sample.convert("RGB")
    assert shown.size == (thumbnails.SIDE, thumbnails.SIDE)
    expected = thumbnails.square(whole)
    width, height = expected.width // 2, expected.height // 2
    upper = [np.asarray(image.crop((0, 0, width, height)), dtype=np.float64) / 255 for image in (shown, expected)]
    assert np.abs(upper[0] - upper[1]).mean() < 0.06


@pytest.mark.parametrize("name", SHIPPED)
def test_a_template_is_tidy(name: str) -> None:
    """No node lies on another one, each in one group, none over a group's title, and groups apart from one another."""
    saved = workflow.load(WORKFLOWS / f"{name}.json")
    nodes = {node["id"]: (*node["pos"], *node["size"]) for node in saved["nodes"]}
    boxes = {key: (x, y - TITLE, x + width, y + height) for key, (x, y, width, height) in nodes.items()}
    groups = [(x, y, x + width, y + height) for x, y, width, height in (g["bounding"] for g in saved["groups"])]
    for found in (list(boxes.values()), groups):
        for first, second in itertools.combinations(found, 2):
            assert first[0] >= second[2] or second[0] >= first[2] or first[1] >= second[3] or second[1] >= first[3]
    for node in saved["nodes"]:
        left, top, right, bottom = boxes[node["id"]]
        inside = [g for g in groups if g[0] <= left and g[1] + TITLE <= top and right <= g[2] and bottom <= g[3]]
        assert len(inside) == 1 or node["type"] in workflow.ONLY_ON_CANVAS, node["type"]


def test_every_template_has_a_photograph_of_its_own() -> None:
    shown = [thumbnails.photograph_of(workflow.load(WORKFLOWS / f"{name}.json")) for name in SHIPPED]
    assert len(set(shown)) == len(SHIPPED)


def test_no_template_names_its_settings_custom() -> None:
    """Each preset is a named one and says what the widgets say."""
    for name in SHIPPED:
        for node in workflow.flat(workflow.load(WORKFLOWS / f"{name}.json"))["nodes"]:
            if node["type"] == "DMAPOptimize":
                values = dict(zip((*FIRST, "seed", "control", "feather", "preset", "gradient", "detail", "scale"),
                                  node["widgets_values"], strict=True))  # fmt: skip
                preset = PRESETS[values["preset"]].values("ascend")
                assert {key: values[key] for key in preset} == preset, name


def test_checkpoints_can_be_fetched() -> None:
    """The host's dialog offers the page of a checkpoint that a template names."""
    for name in sorted(NEED_CHECKPOINTS):
        for node in workflow.load(WORKFLOWS / f"{name}.json")["nodes"]:
            if node["type"] == "CheckpointLoaderSimple":
                (model,) = node["properties"]["models"]
                assert model["name"] == node["widgets_values"][0]
                assert model["directory"] == "checkpoints"
                assert model["url"].startswith("https://huggingface.co/")
                assert model["url"].endswith(f"/{model['name']}")


def test_the_host_lists_the_workflows(server: Server) -> None:
    listed = server.get("/api/workflow_templates")
    assert sorted(listed["ComfyUI-DMAP"]) == SHIPPED
    assert server.get("/api/workflow_templates/ComfyUI-DMAP/restore_demo.json")["version"] == 0.4


@pytest.mark.parametrize("name", SHIPPED)
def test_links_and_widgets_fit_the_nodes(name: str, definitions: dict[str, Any]) -> None:
    """Every widget has a value, every link joins sockets that exist and are of one type."""
    saved = workflow.load(WORKFLOWS / f"{name}.json")
    nodes = {node["id"]: node for node in saved["nodes"]}
    inside = [node for graph in saved.get("definitions", {}).get("subgraphs", []) for node in graph["nodes"]]
    subgraphs = {graph["id"] for graph in saved.get("definitions", {}).get("subgraphs", [])}
    for node in [*saved["nodes"], *inside]:
        if node["type"] in workflow.ONLY_ON_CANVAS | subgraphs | {workflow.SLIDER}:
            continue
        assert len(node["widgets_values"]) == len(workflow.widget_names(definitions[node["type"]])), node["type"]
        # The host's own nodes gain outputs: SaveImage has one since 2026.
        saved_types, types = [o["type"] for o in node["outputs"]], definitions[node["type"]]["output"]
        assert saved_types == (types if node["type"].startswith("DMAP") else types[: len(saved_types)])
    for _, source, slot, target, entry, kind in saved["links"]:
        assert nodes[source]["outputs"][slot]["type"] == kind == nodes[target]["inputs"][entry]["type"]


def test_node_interface_is_as_saved_workflows_expect(definitions: dict[str, Any]) -> None:
    """Node ids, sockets, widget order and defaults are an interface: changing them breaks users' files.

    After a deliberate addition, write the file anew from what the assertion shows.
    """
    found = {}
    for name, definition in definitions.items():
        if name.startswith("DMAP") and not name.startswith("DMAPTest"):
            inputs = [
                [key, spec[0], spec[1].get("default"), None if (name, key) in FILE_LISTS else spec[1].get("options")]
                for group in ("required", "optional")
                for key, spec in definition["input"].get(group, {}).items()
            ]
            outputs = [list(pair) for pair in zip(definition["output_name"], definition["output"], strict=True)]
            found[name] = {"inputs": inputs, "outputs": outputs}
    assert found == json.loads(INTERFACE.read_text(encoding="utf-8"))


def test_every_socket_and_widget_has_a_tooltip(definitions: dict[str, Any]) -> None:
    for name, definition in definitions.items():
        if name.startswith("DMAP") and not name.startswith("DMAPTest"):
            assert definition["description"]
            for group in ("required", "optional"):
                for key, spec in definition["input"].get(group, {}).items():
                    assert spec[1].get("tooltip"), f"{name}.{key}"
            assert all(definition["output_tooltips"]), name


HAN = re.compile(r"[\u4e00-\u9fff]")


def texts(value: Any, place: str) -> dict[str, str]:
    """All texts of a translation by their places: "DMAPInvert.inputs.steps.tooltip"."""
    if isinstance(value, str):
        return {place: value}
    return {key: text for name, inner in value.items() for key, text in texts(inner, f"{place}.{name}").items()}


def test_chinese_has_every_text(server: Server, definitions: dict[str, Any]) -> None:
    """As the host serves it: for each name, description and tooltip of every node one in Chinese, and no others."""
    served = server.get("/i18n")["zh"]["nodeDefs"]
    found = {key: text for name in english.names(definitions) for key, text in texts(served[name], name).items()}
    wanted = {key for name, node in english.names(definitions).items() for key in texts(node, name)}
    assert set(found) == wanted
    assert [key for key, text in found.items() if not HAN.search(text) and text != "VAE"] == []


def test_every_preset_is_explained_in_chinese(server: Server) -> None:
    served = server.get("/i18n")["zh"]["nodeDefs"]
    for node in ("DMAPInvert", "DMAPOptimize"):
        tooltip = served[node]["inputs"]["preset"]["tooltip"]
        assert [name for name in PRESETS if f"{name}\N{FULLWIDTH COLON}" not in tooltip] == []


def test_help_pages(server: Server, definitions: dict[str, Any]) -> None:
    """Every node has one that the host serves."""
    for name, definition in definitions.items():
        if name.startswith("DMAP") and not name.startswith("DMAPTest"):
            page = server.request(f"/extensions/ComfyUI-DMAP/docs/{name}.md").decode()
            assert page.startswith(f"# {definition['display_name']}")


def test_every_node_can_be_found_by_other_words() -> None:
    """In the sources, for the tests' host is too old to know search aliases."""
    for file in (ROOT / "nodes").glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        for call in calls:
            names = {keyword.arg: keyword.value for keyword in call.keywords}
            if getattr(call.func, "id", "") == "schema":
                aliases = names["search_aliases"]
                assert isinstance(aliases, ast.List), file.name
                assert aliases.elts, file.name


def test_english_names_are_the_nodes_own(server: Server, definitions: dict[str, Any]) -> None:
    """After a change of texts: python -m tools.pages.english."""
    assert json.loads(english.FILE.read_text(encoding="utf-8")) == english.names(definitions)


def test_help_pages_have_pictures_and_first_values(server: Server, definitions: dict[str, Any]) -> None:
    for name in definitions:
        if name.startswith("DMAP") and not name.startswith("DMAPTest"):
            page = server.request(f"/extensions/ComfyUI-DMAP/docs/{name}.md").decode()
            assert "**When:**" in page or "**How to read it:**" in page, name
            assert f"![{name}](images/{name}.png)" in page
            with Image.open(io.BytesIO(server.request(f"/extensions/ComfyUI-DMAP/docs/images/{name}.png"))) as image:
                assert min(image.size) > 40
                # After a change of widgets or defaults: python -m tools.pages.node_pictures
                assert image.text[node_pictures.TEXT] == node_pictures.shown(definitions[name]), name
