"""Whatever lies in a folder or comes by a link: the host goes on, and errors name node and input."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from dmap.settings import PRESETS, Settings
from hostgraphs import Restoration, trace
from tools.host.server import HostError, Server

KINDS = ("text", "nan", "huge", "list", "dictionary", "tensor", "none")
PRIOR = {"format": "dmap-prior", "version": 1, "name": "a", "mix": "mean"}


def fill(folder: Any, suffix: str) -> None:
    """What a folder should not hold, under names that are looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = "9" * 400
    texts = {
        "digits": json.dumps({**PRIOR, "parts": [{"prior": "dmap_nss", "weight": 0}]}).replace("0}]", digits + "}]"),
        "more": f'{{"format": {digits * 20}}}',
        "deep": "[" * 100_000,
        "nan": json.dumps({**PRIOR, "parts": [{"prior": "dmap_nss", "weight": float("nan")}]}),
        "power": json.dumps({**PRIOR, "parts": [{"prior": "dmap_nss", "weight": 1}]}).replace("1}]", "1e999}]"),
        "list": "[1, 2]",
        "parts": json.dumps({**PRIOR, "parts": {"a": 1}}),
        "empty": "",
    }
    for name, text in texts.items():
        (folder / f"{name}{suffix}").write_text(text)
    (folder / f"bytes{suffix}").write_bytes(b"\xff\xfe\x00")
    (folder / f"folder{suffix}").mkdir(exist_ok=True)
    os.mkfifo(folder / f"pipe{suffix}")
    (folder / f"nowhere{suffix}").symlink_to("nothing")
    (folder / f"ring{suffix}").symlink_to(f"ring{suffix}")
    with open(os.fsencode(folder) + b"/name\xff" + suffix.encode(), "wb") as file:
        file.write(b"{}")
    with (folder / f"large{suffix}").open("wb") as file:
        file.truncate(3_000_000_000)


@pytest.fixture(scope="module")
def spoilt(server: Server) -> Server:
    fill(server.base / "models" / "iqa", ".json")
    fill(server.base / "output", ".safetensors")
    fill(server.base / "output" / "deeper", ".safetensors")
    return server


def test_the_menu_is_whole_whatever_lies_in_a_folder(spoilt: Server) -> None:
    began = time.monotonic()
    definitions = spoilt.get("/object_info")
    assert time.monotonic() - began < 60
    names = definitions["DMAPLoadPrior"]["input"]["required"]["name"][1]["options"]
    assert "dmap_quality" in names
    assert not [name for name in names if name.startswith("file:")]
    files = definitions["DMAPLoadPath"]["input"]["required"]["file"][1]["options"]
    assert not [name for name in files if any(word in name for word in ("pipe", "nowhere", "ring", "folder", "\udcff"))]


@pytest.mark.parametrize("name", ["digits", "deep", "nan", "power", "parts", "bytes", "nowhere", "ring", "large"])
def test_a_bad_file_is_an_error_and_the_worker_lives(spoilt: Server, tools: dict[str, Any], name: str) -> None:
    graph = tools["Graph"]()
    demo = graph.add("DMAPLoadDemoModels")
    for key, node in {
        "name": graph.add("DMAPLoadPrior", name=f"file:{name}.json"),
        "file": graph.add(
            "DMAPLoadPath", file=f"output/{name}.safetensors", model=(demo, 0), positive=(demo, 1), max_error=0.05
        ),
    }.items():
        one = {"1": graph.prompt[demo], node: graph.prompt[node]}
        one["9"] = {"class_type": "PreviewAny", "inputs": {"source": [node, 0]}}
        with pytest.raises(HostError) as caught:
            spoilt.run(one, 60)
        assert f"{name}." in str(caught.value), key
        assert "KeyError" not in str(caught.value)
        assert "OverflowError" not in str(caught.value)
    alive = tools["Graph"]()
    alive.add("PreviewAny", source=(alive.add("DMAPLoadPrior", name="dmap_nss"), 0))
    spoilt.run(alive.prompt, 60)


@pytest.mark.parametrize("value", [["a", 5], {"a": 1}, None, 7, "output/\x00", "a" * 5000, "output/" + "../" * 50])
def test_no_name_stops_the_worker(spoilt: Server, tools: dict[str, Any], value: Any) -> None:
    graph = tools["Graph"]()
    demo = graph.add("DMAPLoadDemoModels")
    load = graph.add("DMAPLoadPath", file="x", model=(demo, 0), positive=(demo, 1), max_error=0.05)
    graph.prompt[load]["inputs"]["file"] = value
    prior = graph.add("DMAPLoadPrior", name="x")
    graph.prompt[prior]["inputs"]["name"] = value
    for node in (load, prior):
        shown = graph.add("PreviewAny", source=(node, 0))
        with pytest.raises(HostError):
            spoilt.run({**graph.prompt, shown: graph.prompt[shown]}, 60)
        del graph.prompt[shown]
    alive = tools["Graph"]()
    alive.add("PreviewAny", source=(alive.add("DMAPLoadPrior", name="dmap_spectrum"), 0))
    spoilt.run(alive.prompt, 60)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_comes_by_a_link_is_named(
    server: Server, tools: dict[str, Any], definitions: dict[str, Any], kind: str
) -> None:
    """All inputs of every node at once: the first that does not fit is named, by node and input."""
    for name, definition in definitions.items():
        inputs = [key for group in ("required", "optional") for key in definition["input"].get(group, {})]
        if not name.startswith("DMAP") or name.startswith("DMAPTest") or not inputs:
            continue
        graph = tools["Graph"]()
        value = graph.add("DMAPTestAnything", kind=kind)
        node = graph.add(name, **dict.fromkeys(inputs, (value, 0)))
        if definition["output"]:
            graph.add("PreviewAny", source=(node, 0))
        fits = {"text": ("DMAPLoadPrior", "DMAPScoreImages"), "none": ("DMAPScoreImages",)}.get(kind, ())
        with pytest.raises(HostError) as caught:
            server.run(graph.prompt, 60)
        text = str(caught.value)
        assert f"UserError: {definition['display_name']}, " in text, (name, text[:400])
        assert "got " in text or name in fits, (name, text[:400])
        assert len(text) < 600, name


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("iterations", "fraction", "iterations: got 2.5, it must be a whole number from 1 to 1000"),
        ("iterations", "true", "iterations: got True"),
        ("fidelity_weight", "nan", "fidelity_weight: got nan, it must be a number from 0 to 100000"),
        ("step_size", "infinite", "step_size: got inf"),
        ("seed", "huge", "seed: got"),
        ("rule", "list", "rule: got a list"),
        ("image", "list", "socket 'image': got a list; connect one of type IMAGE"),
        ("mask", "text", "socket 'mask': got 'xxx"),
        ("image", "tensor", "socket 'image': got shape (3,)"),
        ("regions", "text", "socket 'regions': got 'xxx"),
        ("safeguards", "text", "socket 'safeguards': got 'xxx"),
        ("degradation", "dictionary", "socket 'degradation': got a dict; connect one of type DMAP_DEGRADATION"),
    ],
)
def test_values_by_link(server: Server, tools: dict[str, Any], name: str, kind: str, words: str) -> None:
    made = Restoration(tools)
    best = made.optimise(**{name: (made.graph.add("DMAPTestAnything", kind=kind), 0)})
    made.graph.add("PreviewImage", images=made.decode(best))
    text = tools["failure"](server, made.graph.prompt)
    assert words in text, text
    assert "DMAP Optimize" in text


def test_what_is_sent_wins_over_a_preset(server: Server, tools: dict[str, Any]) -> None:
    """By a widget, a link or a program, also if it is the default; the preset's is what is left out, and it is told."""
    made = Restoration(tools, invert={"steps": 3, "preset": "after another restorer"}, photograph="tiny.png")
    del made.graph.prompt[made.invert]["inputs"]["strength"]
    best = made.optimise(preset="after another restorer", iterations=2)
    inputs = made.graph.prompt[best]["inputs"]
    inputs["target_score"] = [made.graph.add("DMAPTestAnything", kind="half"), 0]
    inputs["rule"] = "adam"
    for name in ("step_size", "fidelity_weight", "prior_weight", "fidelity", "shift"):
        del inputs[name]
    made.graph.add("PreviewImage", images=made.decode(best))
    outputs = server.run(made.graph.prompt)
    found, preset = trace(outputs, best), PRESETS["after another restorer"].values("ascend")
    assert found["settings"] == {"iterations": 2, "rule": "adam", "step_size": preset["step_size"], "target_score": 0.5}
    said = outputs[best]["text"][0]
    assert "preset 'after another restorer': iterations 2, target_score 0.5" in said
    assert "counts" in said
    assert "steps 3" in outputs[made.invert]["text"][0]


def test_a_preset_that_did_not_reach_its_partner_says_so(server: Server, tools: dict[str, Any]) -> None:
    said = []
    for invert, ascend in (("custom", "strong"), ("strong", "custom"), ("strong", "strong")):
        made = Restoration(tools, invert={"preset": invert, "steps": None, "strength": None}, photograph="tiny.png")
        best = made.optimise(preset=ascend)
        for node, stage in ((made.invert, "invert"), (best, "ascend")):
            for name in PRESETS["strong"].values(stage):
                made.graph.prompt[node]["inputs"].pop(name, None)
        made.graph.prompt[best]["inputs"]["iterations"] = 1 if ascend == "strong" else Settings.iterations
        made.graph.prompt[best]["inputs"]["target_score"] = 0.0 if ascend == "strong" else 90.0
        made.graph.add("PreviewImage", images=made.decode(best))
        said.append(server.run(made.graph.prompt)[best]["text"][0])
    assert "preset 'strong': strength 0.2 at DMAP Invert" in said[0]
    assert f"preset 'strong': iterations {Settings.iterations}" in said[1]
    assert "at this node, its defaults" in said[1]
    assert "at DMAP Invert" not in said[2]


def test_the_seed_stays_by_itself(definitions: dict[str, Any]) -> None:
    """Else each run of the browser would repeat the ascent with another one."""
    assert definitions["DMAPOptimize"]["input"]["optional"]["seed"][1]["control_after_generate"] == "fixed"


@pytest.mark.parametrize("prefix", ["", "paths/", "..", "a\0b", "../../out"])
def test_a_prefix_that_is_no_name(server: Server, tools: dict[str, Any], prefix: str) -> None:
    """None of these makes a hidden file, or an error that is not about the widget."""
    made = Restoration(tools)
    made.graph.add("DMAPSavePath", path=(made.invert, 0), filename_prefix=prefix)
    text = tools["failure"](server, made.graph.prompt)
    assert "UserError: DMAP Save Path, filename_prefix: " in text, text


def test_an_output_folder_that_takes_nothing_loses_nothing(server: Server, tools: dict[str, Any]) -> None:
    """The path that is saved, when the output folder is gone at last: it is elsewhere, and that is said."""
    made = Restoration(tools)
    saved = made.graph.add("DMAPSavePath", path=(made.invert, 0), filename_prefix="gone/path")
    gone = server.base / "output" / "gone"
    gone.write_text("no folder")
    try:
        text = tools["failure"](server, made.graph.prompt)
        assert "DMAP Save Path, filename_prefix" in text
    finally:
        gone.unlink()
    long = "n" * 300
    made.graph.prompt[saved]["inputs"]["filename_prefix"] = long
    said = server.run(made.graph.prompt)[saved]["text"][0]
    assert "the result is " in said
