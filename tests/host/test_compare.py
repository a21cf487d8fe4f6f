"""DMAP Compare Priors in a real host: it runs, stops, goes on, and keeps inside the output folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comparetoys import LevelPrior, comparison
from dmap.cli import main
from dmap.compare import results
from dmap.compare.folder import Folder
from hostgraphs import SETTINGS as OPTIMISE
from hostgraphs import tiny, tiny_lora
from tools.host import workflow
from tools.host.server import HostError, Server

SETTINGS = {
    "folder": "compare", "levels": "0.02", "tolerance": 0.5, "searches": 3, "iterations": 2, "fidelity": "nlpd_colour",
    "fidelity_weight": 60.0, "rule": "adam", "step_size": 0.02, "shift": 4, "seed": 0,
}  # fmt: skip


def graph_of(tools: dict[str, Any], priors: list[str], **options: Any) -> Any:
    graph = tools["Graph"]()
    demo, image = graph.add("DMAPLoadDemoModels"), graph.add("LoadImage", image="small.png")
    latent = graph.add("VAEEncode", pixels=(image, 0), vae=(demo, 2))
    invert = graph.add(
        "DMAPInvert", model=(demo, 0), latent=(latent, 0), positive=(demo, 1), solver="residual_ddim", steps=2,
        strength=0.2, max_error=0.05,
    )  # fmt: skip
    sockets = {f"prior_{number + 1}": (graph.add("DMAPLoadPrior", name=name), 0) for number, name in enumerate(priors)}
    judge = graph.add("DMAPLoadPrior", name="dmap_spectrum")
    compare = graph.add(
        "DMAPComparePriors", path=(invert, 0), vae=(demo, 2), image=(image, 0), judge_1=(judge, 0), **sockets,
        **{**SETTINGS, **options},
    )  # fmt: skip
    graph.add("SaveImage", images=(compare, 0), filename_prefix="compare_sheet")
    graph.add("SaveImage", images=(compare, 1), filename_prefix="compare_matrix")
    return graph, compare


def test_it_runs_and_a_second_run_finds_everything_done(server: Server, tools: dict[str, Any]) -> None:
    graph, compare = graph_of(tools, ["dmap_quality", "dmap_nss"])
    outputs = server.run(graph.prompt)
    assert "optimised by dmap_nss" in str(outputs[compare]) or "missed the wanted" in str(outputs[compare])
    folder = server.base / "output" / "compare"
    cells = {file: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    assert len(cells) == 2
    data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert data["judges"] == ["dmap_quality", "dmap_nss", "dmap_spectrum"]
    assert (folder / "report.html").stat().st_size > 20_000
    sheet = next((server.base / "output").glob("compare_sheet_*.png"))
    assert sheet.stat().st_size > 10_000

    # Another graph of the same content, as after a restart: every cell is found again.
    again, _ = graph_of(tools, ["dmap_quality", "dmap_nss", "dmap_spectrum"])
    del again.prompt[next(key for key, node in again.prompt.items() if node["class_type"] == "SaveImage")]
    compare_node = next(node for node in again.prompt.values() if node["class_type"] == "DMAPComparePriors")
    del compare_node["inputs"]["judge_1"]
    server.run(again.prompt)
    assert all(file.stat().st_mtime_ns == time for file, time in cells.items())
    assert len(list((folder / "cells").iterdir())) == 3


def test_nothing_that_changes_a_pixel_is_missing_from_a_key(server: Server, tools: dict[str, Any]) -> None:
    """Conditioning, LoRA, patches, hooks, the path's state, its photograph, the VAE: each makes cells of its own.

    The same once more, after the host has let go of all models, makes none.
    """
    lora = tiny_lora(server, "key")
    folder, count = server.base / "output" / "keys" / "cells", 0
    kinds = [
        "plain", "plain", "text", "lora", "lora", "weaker lora", "patch", "attention", "hooks", "other frames",
        "control", "vae", "state", "state", "steps",
    ]  # fmt: skip
    seen: set[str] = set()
    for kind in kinds:
        server.free()
        graph = tools["Graph"]()
        parts = tiny(graph)
        model, positive, vae = parts["model"], parts["positive"], parts["vae"]
        if kind == "text":
            positive = (graph.add("CLIPTextEncode", text="old", clip=(model[0], 1)), 0)
        elif kind in ("lora", "weaker lora"):
            strength = 1.0 if kind == "lora" else 0.9
            names = {"lora_name": lora, "strength_model": strength}
            model = (graph.add("LoraLoaderModelOnly", model=model, **names), 0)
        elif kind == "patch":
            model = (graph.add("DMAPTestPatch", model=model, in_place=False), 0)
        elif kind == "attention":
            model = (graph.add("DMAPTestAttentionPatch", model=model, image=parts["image"], kind="output"), 0)
        elif kind in ("hooks", "other frames"):
            names = {"lora_name": lora, "strength_model": 1.0, "strength_clip": 0.0}
            hook = graph.add("CreateHookLora", **names)
            start = 0.0 if kind == "hooks" else 0.9
            frame = graph.add("CreateHookKeyframe", strength_mult=0.5, start_percent=start)
            keyed = graph.add("SetHookKeyframes", hooks=(hook, 0), hook_kf=(frame, 0))
            words = {"strength": 1.0, "set_cond_area": "default"}
            positive = (graph.add("ConditioningSetProperties", cond_NEW=positive, hooks=(keyed, 0), **words), 0)
        elif kind == "control":
            net = graph.add("DMAPTestTinyControlNet")
            words = {"control_net": (net, 0), "image": parts["image"], "strength": 0.5}
            positive = (graph.add("ControlNetApply", conditioning=positive, **words), 0)
        elif kind == "vae":
            vae = (graph.add("DMAPTestOtherVAE", vae=vae), 0)
        invert = graph.add(
            "DMAPInvert", model=model, latent=parts["latent"], positive=positive, solver="residual_ddim",
            steps=3 if kind == "steps" else 2, strength=0.2, max_error=0.05,
        )  # fmt: skip
        priors = [(graph.add("DMAPLoadPrior", name=name), 0) for name in ("dmap_quality", "dmap_nss")]
        path = (invert, 0)
        if kind == "state":
            sockets = {"path": path, "vae": vae, "prior": priors[0], "image": parts["image"]}
            path = (graph.add("DMAPOptimize", **sockets, **{**OPTIMISE, "iterations": 1}), 0)
        compare = graph.add(
            "DMAPComparePriors", path=path, vae=vae, image=parts["image"], prior_1=priors[0], prior_2=priors[1],
            **{**SETTINGS, "folder": "keys", "searches": 1, "iterations": 1},
        )  # fmt: skip
        graph.add("PreviewImage", images=(compare, 0))
        server.run(graph.prompt)
        found = {file.name for file in folder.iterdir()}
        assert len(found) - count == (0 if kind in seen else 2), kind
        count = len(found)
        seen.add(kind)


def test_the_node_and_the_command_agree(server: Server, tools: dict[str, Any], tmp_path: Path) -> None:
    """The same photograph, models and settings: the same prior weights, distances and judgements."""
    priors, settings = ["dmap_quality", "dmap_nss"], {"searches": 2, "iterations": 4, "levels": "0.01, 0.02"}
    graph, _ = graph_of(tools, priors, folder="parity", **settings)
    server.run(graph.prompt)
    (tmp_path / "photos").mkdir()
    shutil.copy(server.base / "input" / "small.png", tmp_path / "photos")
    options = {
        "size": 0, "searches": 2, "iterations": 4, "tolerance": SETTINGS["tolerance"], "fidelity": SETTINGS["fidelity"],
        "fidelity-weight": SETTINGS["fidelity_weight"], "rule": SETTINGS["rule"], "step-size": SETTINGS["step_size"],
        "shift": SETTINGS["shift"], "seed": SETTINGS["seed"], "solver": "residual_ddim", "steps": 2, "strength": 0.2,
    }  # fmt: skip
    command = [
        "compare",
        "--photos",
        str(tmp_path / "photos"),
        "--out",
        str(tmp_path / "out"),
        "--levels",
        "0.01",
        "0.02",
    ]
    command += ["--priors", *priors, "--judges", "dmap_spectrum"]
    assert main([*command, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]) == 0
    node, here = (results.load(Folder(folder)) for folder in (server.base / "output" / "parity", tmp_path / "out"))
    assert node.judges == here.judges
    assert node.start == pytest.approx(here.start, abs=0.05)
    assert node.scores == pytest.approx(here.scores, abs=0.5)
    assert np.abs(here.gains).max() > 5, "nothing was climbed"
    for one, other in zip(node.conditions, here.conditions, strict=True):
        for mine, theirs in zip(one.cells, other.cells, strict=True):
            assert mine is not None
            assert theirs is not None
            assert mine.weight == pytest.approx(theirs.weight, rel=0.02)
            assert mine.distance == pytest.approx(theirs.distance, abs=5e-4)
            assert "comfyui" in mine.software


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folder": "../outside"}, "folder"),
        ({"folder": ""}, "folder"),
        ({"levels": "much"}, "levels"),
        ({"levels": ""}, "levels"),
    ],
)
def test_bad_values_name_the_widget(server: Server, tools: dict[str, Any], options: dict[str, Any], words: str) -> None:
    graph, _ = graph_of(tools, ["dmap_quality", "dmap_nss"], **options)
    message = tools["failure"](server, graph.prompt)
    assert "DMAP Compare Priors" in message
    assert words in message
    assert not (Path(server.base) / "outside").exists()


def test_one_model_twice_is_refused(server: Server, tools: dict[str, Any]) -> None:
    graph, _ = graph_of(tools, ["dmap_nss", "dmap_nss"])
    assert "named twice" in tools["failure"](server, graph.prompt)


def test_an_interrupt_keeps_finished_cells(server: Server, tools: dict[str, Any]) -> None:
    graph, _ = graph_of(tools, ["dmap_nss", "dmap_quality"], folder="stopped", iterations=30, searches=1)
    folder = server.base / "output" / "stopped"
    prompt = server.queue(graph.prompt)
    state = {"sent": False}

    def tick() -> None:
        if not state["sent"] and (folder / "cells").is_dir() and list((folder / "cells").glob("*.safetensors")):
            server.request("/interrupt", b"{}")
            state["sent"] = True

    with pytest.raises(HostError, match="interrupted"):
        server.wait(prompt, tick=tick)
    assert len(list((folder / "cells").glob("*.safetensors"))) == 1
    assert (folder / "comparison.json").is_file()


def test_four_priors_with_compositions(server: Server, tools: dict[str, Any]) -> None:
    graph, compare = graph_of(tools, ["dmap_quality", "dmap_nss"], folder="four", searches=1)
    inputs = graph.prompt[compare]["inputs"]
    robust = graph.add("DMAPRobustPrior", prior=inputs["prior_1"], views=2, shift=4, noise=0.01, seed=0)
    weights = {f"weight_{number}": 1.0 for number in range(1, 5)}
    mix = graph.add("DMAPMixPriors", mode="mean", prior_1=inputs["prior_2"], prior_2=inputs.pop("judge_1"), **weights)
    inputs.update(prior_3=[robust, 0], prior_4=[mix, 0])
    server.run(graph.prompt)
    data = json.loads((server.base / "output" / "four" / "report.json").read_text(encoding="utf-8"))
    assert len(set(data["judges"])) == 4
    assert len(list((server.base / "output" / "four" / "cells").iterdir())) == 4


def test_lists_bring_any_number_of_priors_and_judges(server: Server, tools: dict[str, Any]) -> None:
    """Ten priors, two more than there are sockets, and a judge in a list; lists chain in order."""
    graph, compare = graph_of(tools, ["dmap_quality", "dmap_nss"], folder="many", searches=1, iterations=1)
    inputs = graph.prompt[compare]["inputs"]

    def scaled(percent: int) -> tuple[Any, int]:
        prior = inputs["prior_2"]
        return (graph.add("DMAPMultiScalePrior", prior=prior, scales=f"1, 0.{percent}"), 0)

    first = graph.add("DMAPListPriors", **{f"prior_{number}": scaled(80 + number) for number in range(1, 8)})
    second = graph.add("DMAPListPriors", priors=(first, 0), prior_1=scaled(95))
    judge = (graph.add("DMAPLoadPrior", name="dmap_judge"), 0)
    judges = graph.add("DMAPListPriors", prior_1=judge)
    inputs.update(more_priors=[second, 0], more_judges=[judges, 0])
    server.run(graph.prompt)
    data = json.loads((server.base / "output" / "many" / "report.json").read_text(encoding="utf-8"))
    assert len(data["models"]) == 10
    assert [name.rpartition("0.")[2].rstrip(")") for name in data["models"][2:]] == [*map(str, range(81, 88)), "95"]
    assert data["judges"][10:] == ["dmap_spectrum", "dmap_judge"]
    assert len(list((server.base / "output" / "many" / "cells").iterdir())) == 10


def test_a_model_on_a_socket_and_in_a_list_is_refused(server: Server, tools: dict[str, Any]) -> None:
    graph, compare = graph_of(tools, ["dmap_nss", "dmap_quality"])
    inputs = graph.prompt[compare]["inputs"]
    inputs["more_judges"] = [graph.add("DMAPListPriors", prior_1=inputs["prior_1"]), 0]
    assert "named twice" in tools["failure"](server, graph.prompt)


def test_a_proposed_mixture_is_offered_by_name_and_restores(
    tmp_path: Path, server: Server, demo_prompt: dict[str, Any]
) -> None:
    """The weights come from toys under the shipped priors' names; the file and the host are real."""
    names = ("dmap_quality", "dmap_nss", "dmap_spectrum")
    toys = {name: LevelPrior(name, channel, 0.7) for channel, name in enumerate(names)}
    comparison(tmp_path / "toys", count=2, named=toys, priors=names).run()
    iqa = server.base / "models" / "iqa"
    iqa.mkdir(exist_ok=True)
    assert main(["propose-prior", str(tmp_path / "toys"), "--name", "host_proposed", "--out", str(iqa)]) == 0
    try:
        parts = json.loads((iqa / "host_proposed.json").read_text(encoding="utf-8"))["parts"]
        assert len(parts) > 1
        offered = server.get("/object_info/DMAPLoadPrior")["DMAPLoadPrior"]["input"]["required"]["name"]
        assert "file:host_proposed.json" in offered[1]["options"]
        (loader,), (optimise,) = (workflow.nodes_of(demo_prompt, kind) for kind in ("DMAPLoadPrior", "DMAPOptimize"))
        demo_prompt[loader]["inputs"]["name"] = "file:host_proposed.json"
        demo_prompt[optimise]["inputs"]["fidelity_weight"] = 20.0
        rows = json.loads(server.run(demo_prompt)[optimise]["dmap_trace"][0])["rows"]
        assert max(row["prior"][0] for row in rows) > rows[0]["prior"][0]
    finally:
        (iqa / "host_proposed.json").unlink(missing_ok=True)
