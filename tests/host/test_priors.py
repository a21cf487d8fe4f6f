"""Quality models in a real host: files, mixtures, memory, precision, and the paper's hybrid as a template."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dmap.priors import PRIORS, WeightStore, load_prior, priorfile
from dmap.priors.checkpoint import convert
from dmap.priors.compose import MultiScalePrior
from dmap.priors.pyiqa_adapter import build
from dmap.priors.random_weights import RandomFiles
from hostgraphs import SMALL, restore, tiny, trace
from tools.host import workflow
from tools.host.server import ROOT, HostError, Server

CNNIQA = "CNNIQA_koniq10k-e6f14c91.pth"
CONVERTED = CNNIQA.replace(".pth", ".safetensors")
MIXTURE = "host_test.json"


@pytest.fixture(scope="module")
def folder(server: Server) -> Iterator[Path]:
    """The host's models/iqa with a small network's weights and a prior file that mixes it with the pack's own."""
    iqa = server.base / "models" / "iqa"
    iqa.mkdir(exist_ok=True)
    torch.manual_seed(3)
    torch.save({"params": build("cnniqa", RandomFiles()).state_dict()}, iqa / CNNIQA)
    convert(iqa / CNNIQA, iqa / CONVERTED)  # under the published file's own name its digest is asked for
    (iqa / CNNIQA).unlink()
    parts = (("pyiqa:cnniqa", 1.0), ("dmap_quality", 3.0))
    priorfile.write(priorfile.PriorFile("mixture of the test", "mean", parts), iqa / MIXTURE)
    yield iqa
    for name in (CONVERTED, MIXTURE):
        (iqa / name).unlink(missing_ok=True)


def photograph(server: Server) -> torch.Tensor:
    with Image.open(server.base / "input" / "small.png") as file:
        return torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)[None].float() / 255


def judged(server: Server, graph: Any, **inputs: Any) -> list[dict[str, Any]]:
    """The table of DMAP Score Images for the small photograph."""
    image = graph.add("LoadImage", image="small.png")
    score = graph.add("DMAPScoreImages", image=(image, 0), **inputs)
    shown = graph.add("PreviewAny", source=(score, 0))
    table: list[dict[str, Any]] = json.loads(server.run(graph.prompt)[shown]["text"][0])
    return table


def test_files_of_the_model_folder_are_offered_and_give_the_librarys_scores(
    server: Server, folder: Path, tools: dict[str, Any]
) -> None:
    """Two networks at once, alone and in a mixture; the same after everything was unloaded."""
    names = server.get("/object_info/DMAPLoadPrior")["DMAPLoadPrior"]["input"]["required"]["name"][1]["options"]
    names = ["dmap_quality", *names[len(PRIORS) :]]
    assert names[1:3] == [f"file:{MIXTURE}", "pyiqa:cnniqa"]
    assert f"{MIXTURE}" in server.get("/models/iqa")
    store, expected = WeightStore((folder,)), []
    for name in names[:3]:
        with torch.no_grad():
            expected.append(float(load_prior(name, store)(photograph(server))))
    for _ in range(2):
        graph = tools["Graph"]()
        loaders = {f"prior_{i}": (graph.add("DMAPLoadPrior", name=name), 0) for i, name in enumerate(names[:3], 1)}
        table = judged(server, graph, **loaders, optimised=loaders["prior_3"])
        assert [row["mean"]["after"] for row in table] == pytest.approx(expected, abs=0.01)
        assert [row["optimised"] for row in table] == [False, True, True]
        server.free()


def test_a_changed_prior_file_is_read_again(server: Server, folder: Path, tools: dict[str, Any]) -> None:
    graph = tools["Graph"]()
    prior = graph.add("DMAPLoadPrior", name=f"file:{MIXTURE}")
    first = judged(server, graph, prior_1=(prior, 0))[0]["mean"]["after"]
    priorfile.write(priorfile.PriorFile("other", "mean", (("pyiqa:cnniqa", 1.0),)), folder / MIXTURE)
    os.utime(folder / MIXTURE, (1, 1))
    graph = tools["Graph"]()
    prior = graph.add("DMAPLoadPrior", name=f"file:{MIXTURE}")
    row = judged(server, graph, prior_1=(prior, 0))[0]
    assert row["judge"] == "other"
    assert row["mean"]["after"] != first


def test_a_prior_that_cannot_be_climbed_is_refused_on_the_users_image(
    server: Server, folder: Path, demo_prompt: dict[str, Any]
) -> None:
    parts = (("dmap_quality", 3.0), ("pyiqa:piqe", 1.0))
    priorfile.write(priorfile.PriorFile("with PIQE", "mean", parts), folder / MIXTURE)
    os.utime(folder / MIXTURE, (2, 2))
    (loader,) = workflow.nodes_of(demo_prompt, "DMAPLoadPrior")
    demo_prompt[loader]["inputs"]["name"] = f"file:{MIXTURE}"
    with pytest.raises(HostError, match=r"DMAP Optimize.*prior pyiqa:piqe: its gradient is zero everywhere"):
        server.run(demo_prompt)


def test_another_map_to_the_common_scale(server: Server, tools: dict[str, Any]) -> None:
    with torch.no_grad():
        raw = float(load_prior("dmap_quality")(photograph(server)))
    graph = tools["Graph"]()
    prior = graph.add("DMAPLoadPrior", name="dmap_quality", midpoint=raw - 5.0, slope=0.2)
    (row,) = judged(server, graph, prior_1=(prior, 0))
    assert row["mean"]["after"] == pytest.approx(100 / (1 + np.exp(-0.2 * 5.0)), abs=0.01)


def test_judges_by_name_need_no_gradient(server: Server, tools: dict[str, Any]) -> None:
    graph = tools["Graph"]()
    prior = graph.add("DMAPLoadPrior", name="dmap_quality")
    table = judged(server, graph, prior_1=(prior, 0), optimised=(prior, 0), judges="pyiqa:piqe")
    assert [(row["judge"], row["optimised"]) for row in table] == [("dmap_quality", True), ("pyiqa:piqe", False)]
    graph = tools["Graph"]()
    prior = graph.add("DMAPLoadPrior", name="dmap_quality")
    with pytest.raises(HostError, match=r"DMAP Score Images, judges, name: got 'no_such'"):
        judged(server, graph, prior_1=(prior, 0), judges="pyiqa:piqe, no_such")


def test_missing_weights_with_and_without_the_download_switch(server: Server, tools: dict[str, Any]) -> None:
    """UNIQUE's file has no published SHA-256: even with the switch on nothing is asked of the network."""
    for download, words in (
        (False, "the switch 'download' of DMAP Load IQA Prior is on"),
        (True, "SHA-256 is not published"),
    ):
        graph = tools["Graph"]()
        prior = graph.add("DMAPLoadPrior", name="pyiqa:unique", download=download)
        with pytest.raises(HostError, match=words) as caught:
            judged(server, graph, prior_1=(prior, 0))
        assert all(word in str(caught.value) for word in ("DMAP Load IQA Prior", "UNIQUE.pt", "models/iqa", "https://"))


def hybrid(definitions: dict[str, Any], photograph: str = "small.png") -> dict[str, Any]:
    """The template on the tiny Stable Diffusion."""
    prompt = workflow.to_prompt(
        workflow.load(ROOT / "workflows" / "restore_hybrid_prior.json"),
        definitions,
        {
            "LoadImage": {"image": photograph},
            "DMAPInvert": {"steps": 2, "strength": 0.2},
            "DMAPOptimize": {"iterations": 1},
            "CheckpointLoaderSimple": {"ckpt_name": ""},
        },
    )
    (loader,) = workflow.nodes_of(prompt, "CheckpointLoaderSimple")
    prompt[loader] |= {"class_type": "DMAPTestTinySD", "inputs": {"kind": "EPS", "channels": 4}}
    return prompt


def test_the_papers_hybrid_says_what_it_needs(server: Server, definitions: dict[str, Any]) -> None:
    prompt = hybrid(definitions)
    names = {prompt[key]["inputs"]["name"] for key in workflow.nodes_of(prompt, "DMAPLoadPrior")}
    assert names == {"pyiqa:liqe_mix", "pyiqa:musiq", "pyiqa:clipiqa"}
    with pytest.raises(HostError, match=r"DMAP Load IQA Prior, pyiqa:.* is missing") as caught:
        server.run(prompt)
    assert "models/iqa" in str(caught.value)


def test_the_papers_hybrid_runs_on_other_priors(server: Server, definitions: dict[str, Any]) -> None:
    """As its note says: dmap_quality in all three loaders."""
    prompt = hybrid(definitions)
    for key in workflow.nodes_of(prompt, "DMAPLoadPrior"):
        prompt[key]["inputs"]["name"] = "dmap_quality"
    outputs = server.run(prompt)
    (optimise,) = workflow.nodes_of(prompt, "DMAPOptimize")
    assert len(json.loads(outputs[optimise]["dmap_trace"][0])["rows"]) == 2


@pytest.mark.parametrize("kind", ["bf16", "fp16"])
def test_priors_stay_in_float32_in_a_half_precision_host(
    tmp_path: Path, server: Server, tools: dict[str, Any], kind: str
) -> None:
    """The same score to float32's rounding, and an ascent, with the host's networks in 16 bit."""
    pack = Path(__file__).resolve().parent / "dmap_test_nodes"
    with Server(tmp_path, packs=[pack], arguments=[f"--{kind}-unet", f"--{kind}-vae"]) as half:
        for name in ("small.png", "tiny.png"):
            (tmp_path / "input" / name).write_bytes((server.base / "input" / name).read_bytes())
        graph = tools["Graph"]()
        prior = graph.add("DMAPLoadPrior", name="dmap_quality")
        (row,) = judged(half, graph, prior_1=(prior, 0))
        with torch.no_grad():
            expected = float(load_prior("dmap_quality")(photograph(server)))
        assert row["mean"]["after"] == pytest.approx(expected, abs=1e-3)
        prompt = hybrid(half.get("/object_info"), "tiny.png")  # half precision is slow on most CPUs
        for key in workflow.nodes_of(prompt, "DMAPLoadPrior"):
            prompt[key]["inputs"]["name"] = "dmap_quality"
        assert half.run(prompt)


def test_a_host_without_pyiqa_restores(
    tmp_path: Path, server: Server, tools: dict[str, Any], demo_prompt: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the pack's own prior; pyiqa's names are offered all the same, and say how to get it and its terms."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\nsys.modules['pyiqa'] = None  # cannot be imported\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with Server(tmp_path / "base") as plain:
        (plain.base / "input" / "small.png").write_bytes((server.base / "input" / "small.png").read_bytes())
        (optimise,) = workflow.nodes_of(demo_prompt, "DMAPOptimize")
        demo_prompt[optimise]["inputs"]["iterations"] = 1
        outputs = plain.run(demo_prompt)
        assert len(json.loads(outputs[optimise]["dmap_trace"][0])["rows"]) == 2
        definition = plain.get("/object_info/DMAPLoadPrior")["DMAPLoadPrior"]
        assert "pyiqa:liqe_mix" in definition["input"]["required"]["name"][1]["options"]
        graph = tools["Graph"]()
        prior = graph.add("DMAPLoadPrior", name="pyiqa:liqe_mix")
        with pytest.raises(HostError, match=r"DMAP Load IQA Prior, .*pip install pyiqa.*noncommercial"):
            judged(plain, graph, prior_1=(prior, 0))


def test_a_model_folder_that_cannot_be_written(tmp_path: Path, server: Server, tools: dict[str, Any]) -> None:
    """A file where the folder should be stops root as well, unlike permissions."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "iqa").write_text("no folder")
    with Server(tmp_path) as odd:
        (odd.base / "input" / "small.png").write_bytes((server.base / "input" / "small.png").read_bytes())
        graph = tools["Graph"]()
        prior = graph.add("DMAPLoadPrior", name="pyiqa:cnniqa", download=True)
        with pytest.raises(
            HostError, match=rf"{CNNIQA}: it cannot be written to .*models/iqa.*make the folder writable"
        ):
            judged(odd, graph, prior_1=(prior, 0))
        graph = tools["Graph"]()
        prior = graph.add("DMAPLoadPrior", name="dmap_quality")
        assert judged(odd, graph, prior_1=(prior, 0))


def test_priors_made_of_priors(server: Server, tools: dict[str, Any]) -> None:
    """The same network mixed, at two scales and hardened, nested; then a wrong list of scales."""
    graph = tools["Graph"]()
    optimise, decode = restore(graph, tiny(graph), iterations=2, rule="momentum", step_size=5.0)
    own = graph.prompt[optimise]["inputs"]["prior"]
    scaled = graph.add("DMAPMultiScalePrior", prior=tuple(own), scales="1, 0.75")
    robust = graph.add("DMAPRobustPrior", prior=tuple(own), views=2, shift=4, noise=0.01, seed=3)
    mixed = graph.add(
        "DMAPMixPriors", mode="softmin", prior_1=(scaled, 0), prior_2=(robust, 0),
        weight_1=1.0, weight_2=2.0, weight_3=1.0, weight_4=1.0,
    )  # fmt: skip
    graph.prompt[optimise]["inputs"]["prior"] = [mixed, 0]
    graph.add("PreviewImage", images=(decode, 0))
    rows = trace(server.run(graph.prompt), optimise)["rows"]
    assert rows[-1]["objective"][0] > rows[0]["objective"][0]
    graph.prompt[scaled]["inputs"]["scales"] = "1; 2"
    with pytest.raises(HostError, match=r"DMAP Multi-Scale Prior, scales: got '1; 2'"):
        server.run(graph.prompt)


def test_scores_before_and_after(server: Server, tools: dict[str, Any]) -> None:
    """A batch by two judges; the table equals what they say themselves, and says which network was climbed."""
    graph = tools["Graph"]()
    image = graph.add("LoadImage", **SMALL)
    batch = graph.add("DMAPTestSpoil", image=(image, 0), kind="batch2")
    own = graph.add("DMAPLoadPrior", name="dmap_quality")
    scaled = graph.add("DMAPMultiScalePrior", prior=(own, 0), scales="0.6")
    judges = {"prior_1": (scaled, 0), "prior_2": (own, 0), "judges": "dmap_guide"}
    score = graph.add("DMAPScoreImages", image=(batch, 0), before=(image, 0), **judges)
    graph.add("SaveImage", images=(score, 1), filename_prefix="scores")
    shown = graph.add("PreviewAny", source=(score, 0))
    outputs = server.run(graph.prompt)
    table = json.loads(outputs[shown]["text"][0])
    assert [row["optimised"] for row in table] == [None] * 3
    assert [len(row["after"]) for row in table] == [2] * 3
    assert ["no measure of quality" in line for line in outputs[score]["text"][0].splitlines()] == [False, False, True]
    with Image.open(server.base / "input" / "small.png") as file:
        tensor = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = float(MultiScalePrior(load_prior("dmap_quality"), [0.6])(tensor))
    assert table[0]["before"] == pytest.approx([expected] * 2, abs=0.01)
    assert table[0]["after"][0] == pytest.approx(expected, abs=0.01)
    graph.prompt[score]["inputs"]["optimised"] = [own, 0]
    assert all(row["optimised"] for row in json.loads(server.run(graph.prompt)[shown]["text"][0]))
    graph.prompt[score]["inputs"] |= {"image": [image, 0], "before": [batch, 0]}
    with pytest.raises(HostError, match=r"DMAP Score Images, socket 'before': a batch of 2"):
        server.run(graph.prompt)
