"""Every wrong input gets an error that names node and socket, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tools.host.server import HostError, Server


def graph_for(tools: dict[str, Any], image: str = "small.png", model: str = "EPS") -> tuple[Any, dict[str, str]]:
    """A small graph on the tiny Stable Diffusion and the ids of its nodes by role."""
    graph = tools["Graph"]()
    ids = {"loader": graph.add("DMAPTestTinySD", kind=model, channels=4), "image": graph.add("LoadImage", image=image)}
    ids["text"] = graph.add("CLIPTextEncode", text="", clip=(ids["loader"], 1))
    ids["latent"] = graph.add("VAEEncode", pixels=(ids["image"], 0), vae=(ids["loader"], 2))
    ids["invert"] = graph.add(
        "DMAPInvert", model=(ids["loader"], 0), latent=(ids["latent"], 0), positive=(ids["text"], 0),
        solver="residual_ddim", steps=2, strength=0.4, max_error=0.05,
    )  # fmt: skip
    ids["prior"] = graph.add("DMAPLoadPrior", name="dmap_quality")
    ids["optimise"] = graph.add(
        "DMAPOptimize", path=(ids["invert"], 0), vae=(ids["loader"], 2), prior=(ids["prior"], 0),
        image=(ids["image"], 0), iterations=1, prior_weight=1.0, fidelity="nlpd", fidelity_weight=1.0, rule="adam",
        step_size=0.02, target_score=150.0, shift=0, seed=0,
    )  # fmt: skip
    ids["decode"] = graph.add("DMAPDecode", path=(ids["optimise"], 0), vae=(ids["loader"], 2))
    graph.add("PreviewImage", images=(ids["decode"], 0))
    return graph, ids


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("channels", ["DMAP Invert", "'latent'", "3 channels", "takes 4"]),
        ("nan", ["DMAP Invert", "'latent'", "NaN"]),
        ("video", ["DMAP Invert", "'latent'", "image latents"]),
    ],
)
def test_latents(server: Server, tools: dict[str, Any], kind: str, words: list[str]) -> None:
    graph, ids = graph_for(tools)
    spoilt = graph.add("DMAPTestSpoilLatent", latent=(ids["latent"], 0), kind=kind)
    graph.prompt[ids["invert"]]["inputs"]["latent"] = [spoilt, 0]
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nan", ["DMAP Optimize", "'image'", "NaN"]),
        ("two_channels", ["DMAP Optimize", "'image'", "1, 3 or 4 channels"]),
        ("small", ["DMAP Optimize", "'image'", "48x48", "128x128"]),
        ("batch3", ["DMAP Optimize", "'image'", "batch of 3", "1 images"]),
    ],
)
def test_references(server: Server, tools: dict[str, Any], kind: str, words: list[str]) -> None:
    graph, ids = graph_for(tools)
    spoilt = graph.add("DMAPTestSpoil", image=(ids["image"], 0), kind=kind)
    graph.prompt[ids["optimise"]]["inputs"]["image"] = [spoilt, 0]
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in words), text


def test_an_image_below_the_priors_minimum(server: Server, tools: dict[str, Any]) -> None:
    graph, ids = graph_for(tools)
    spoilt = graph.add("DMAPTestSpoil", image=(ids["image"], 0), kind="small")
    for node in ("latent", "optimise"):
        name = "pixels" if node == "latent" else "image"
        graph.prompt[ids[node]]["inputs"][name] = [spoilt, 0]
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("DMAP Optimize", "image", "48 px", "at least 64 px")), text


def test_ms_ssim_on_a_small_image(server: Server, tools: dict[str, Any]) -> None:
    graph, ids = graph_for(tools)
    graph.prompt[ids["optimise"]]["inputs"]["fidelity"] = "ms_ssim"
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("fidelity ms_ssim", "128x128", "176 px")), text


@pytest.mark.parametrize(("kind", "words"), [("empty", ["it is empty"]), ("narrow", ["width 64", "got 8"])])
def test_conditioning(server: Server, tools: dict[str, Any], kind: str, words: list[str]) -> None:
    graph, ids = graph_for(tools)
    graph.prompt[ids["invert"]]["inputs"]["positive"] = [graph.add("DMAPTestConditioning", kind=kind), 0]
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ["DMAP Invert", "'positive'", *words]), text


@pytest.mark.parametrize("kind", ["EDM", "STABLE_CASCADE", "FLOW_COSMOS"])
def test_kinds_that_do_not_fit_are_refused_by_name(server: Server, tools: dict[str, Any], kind: str) -> None:
    """With the reason, and with what can be connected instead."""
    graph, _ = graph_for(tools, model=kind)
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("DMAP Invert", "'model'", kind, "not supported: ", "connect", "Z-Image")), text


PATCHES: dict[str, dict[str, Any]] = {
    "ModelSamplingContinuousEDM": {"sampling": "v_prediction", "sigma_max": 120.0, "sigma_min": 0.002},
    "ModelSamplingContinuousV": {"sampling": "v_prediction", "sigma_max": 500.0, "sigma_min": 0.03},
    "ModelSamplingStableCascade": {"shift": 2.0},
    "ModelSamplingDiscrete": {"sampling": "img_to_img", "zsnr": False},
}
"""Nodes of the host that put levels in place of a model's that cannot be worked with."""


@pytest.mark.parametrize("node", PATCHES)
def test_a_patch_of_the_noise_levels_is_named(server: Server, tools: dict[str, Any], node: str) -> None:
    """And not the kind of the model, which is right."""
    graph, ids = graph_for(tools)
    patched = graph.add(node, model=(ids["loader"], 0), **PATCHES[node])
    graph.prompt[ids["invert"]]["inputs"]["model"] = [patched, 0]
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("DMAP Invert", "'model'", node, "take that node off")), text
    assert "type EPS" not in text


def test_a_patch_that_makes_a_flow_model_of_another_is_told(server: Server, tools: dict[str, Any]) -> None:
    """There are such checkpoints: it is no error, but for all others the picture would be wrong without a word."""
    graph, ids = graph_for(tools)
    patched = graph.add("ModelSamplingSD3", model=(ids["loader"], 0), shift=3.0)
    graph.prompt[ids["invert"]]["inputs"]["model"] = [patched, 0]
    graph.prompt[ids["decode"]]["inputs"]["path"] = [ids["invert"], 0]
    outputs = server.run(graph.prompt)
    assert "ModelSamplingSD3 makes a flow model of this one" in outputs[ids["invert"]]["text"][0]


def test_a_vae_of_other_latents(server: Server, tools: dict[str, Any]) -> None:
    graph, ids = graph_for(tools)
    demo = graph.add("DMAPLoadDemoModels")
    graph.prompt[ids["optimise"]]["inputs"]["vae"] = [demo, 2]
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("DMAP Optimize", "'vae'", "8 channels", "has 4")), text


def test_a_round_trip_that_is_not_exact_is_refused(server: Server, tools: dict[str, Any]) -> None:
    graph, ids = graph_for(tools)
    graph.prompt[ids["invert"]]["inputs"] |= {"solver": "edict", "steps": 100, "strength": 1.0, "max_error": 0.0}
    text = tools["failure"](server, graph.prompt)
    assert "DMAP Invert" in text
    assert "max_error" in text or "inversion" in text


def test_a_prior_whose_package_is_missing(server: Server, tools: dict[str, Any]) -> None:
    """The name stays selectable, so that saved workflows open; running it says how to get it."""
    graph, ids = graph_for(tools)
    graph.prompt[ids["prior"]]["inputs"]["name"] = "pyiqa:musiq"
    text = tools["failure"](server, graph.prompt)
    assert "DMAP Load IQA Prior" in text
    assert "pip install pyiqa" in text or "weights" in text


@pytest.mark.parametrize(
    ("node", "name", "value"),
    [
        ("prior", "name", "no_such_prior"),
        ("invert", "solver", "euler"),
        ("invert", "steps", 0),
        ("invert", "strength", 0.0),
        ("invert", "strength", 1.5),
        ("optimise", "iterations", 0),
        ("optimise", "step_size", 0.0),
        ("optimise", "fidelity", "lpips"),
    ],
)
def test_values_out_of_range(server: Server, tools: dict[str, Any], node: str, name: str, value: Any) -> None:
    """Ranges are checked by the host before it starts, lists by the host or by the node; both name the input."""
    graph, ids = graph_for(tools)
    graph.prompt[ids[node]]["inputs"][name] = value
    with pytest.raises(HostError) as caught:
        server.run(graph.prompt)
    refused = caught.value.error.get("node_errors", {}).get(ids[node], {}).get("errors", [])
    by_host = any(error["extra_info"].get("input_name") == name for error in refused)
    assert by_host or (f"{name}: " in str(caught.value) and repr(value) in str(caught.value))


def test_more_steps_than_levels(server: Server, tools: dict[str, Any]) -> None:
    graph, ids = graph_for(tools)
    graph.prompt[ids["invert"]]["inputs"] |= {"steps": 50, "strength": 0.02}
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("DMAP Invert", "steps", "at most 20")), text


def test_nothing_to_optimise(server: Server, tools: dict[str, Any]) -> None:
    graph, ids = graph_for(tools)
    graph.prompt[ids["optimise"]]["inputs"] |= {"prior_weight": 0.0, "fidelity_weight": 0.0}
    text = tools["failure"](server, graph.prompt)
    assert "nothing to optimise" in text
