"""Flow models in a real host, each family on random weights of the host's own class: exact, affordable, unchanged."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hostgraphs import read, restore, trace
from tools.host import workflow
from tools.host.listen import Listener
from tools.host.server import ROOT, Server

WORKFLOWS = ROOT / "workflows"
FAMILIES = ["SD3", "SD3.5", "Flux.1 dev", "Flux.1 schnell", "FLUX.2", "Chroma", "Lumina 2", "Z-Image", "Qwen-Image"]
LINEAR = {"Flux.1 dev": ("double_blocks.0.img_attn.qkv", 384, 128), "Z-Image": ("layers.0.attention.qkv", 1152, 384)}
each_family = pytest.mark.parametrize("family", FAMILIES)


def flow(graph: Any, family: str, image: str = "tiny.png") -> dict[str, tuple[str, int]]:
    """Model, text, photograph and its latent of a family."""
    loader = graph.add("DMAPTestTinyFlow", family=family)
    loaded = (graph.add("LoadImage", image=image), 0)
    latent = (graph.add("DMAPEncode", image=loaded, vae=(loader, 2), tile=0), 0)
    return {"model": (loader, 0), "positive": (loader, 1), "vae": (loader, 2), "image": loaded, "latent": latent}


def inverted(graph: Any, parts: dict[str, Any]) -> tuple[str, str]:
    """Invert in one step and decode what that leaves; returns the ids of DMAPInvert and of DMAPDecode."""
    sockets = {key: parts[key] for key in ("model", "latent", "positive")}
    invert = graph.add("DMAPInvert", **sockets, solver="residual_ddim", steps=1, strength=0.3, max_error=0.05)
    return invert, graph.add("DMAPDecode", path=(invert, 0), vae=parts["vae"])


@each_family
def test_figures(server: Server, tools: dict[str, Any], family: str) -> None:
    """Round trip, gradient against finite differences, batch against singles, by blocks against whole."""
    graph = tools["Graph"]()
    parts = flow(graph, family)
    parts.pop("image")
    node = graph.add("DMAPTestFlowFacts", **parts)
    found = read(server.run(graph.prompt), node)
    print(family, found)
    assert found["flow"] == 1
    assert (found["channels"], found["pixels"]) == ((128, 16) if family == "FLUX.2" else (16, 8))
    assert found["round trip of residual_ddim"] < 2e-5
    assert found["round trip of edict"] < 2e-5
    assert found["gradient error"] < 1e-3
    assert found["batch against singles"] < 2e-5
    for way in ("kept", "by blocks", "kept by blocks"):
        assert found[f"{way} against computed again"] == 0
    assert found["MiB kept, blocks"] < 0.4 * found["MiB kept, whole"]
    assert found["MiB at once, blocks"] < found["MiB at once, whole"]


@each_family
def test_a_photograph_is_restored_and_the_model_stays_as_it_is(
    server: Server, tools: dict[str, Any], family: str
) -> None:
    """Encoded at a size of its own, inverted, climbed and decoded, with the model's weights as before."""
    graph = tools["Graph"]()
    parts = flow(graph, family, "prime.png")
    before = graph.add("DMAPTestFingerprint", model=parts["model"], salt=0)
    optimise, decode = restore(graph, parts, steps=2, strength=0.3, iterations=2, step_size=0.005)
    node = graph.add("DMAPTestCompare", first=(decode, 0), second=parts["image"])
    latent = graph.add("VAEDecode", samples=(decode, 1), vae=parts["vae"])
    graph.add("PreviewImage", images=(latent, 0))
    after = graph.add("DMAPTestFingerprint", model=parts["model"], after=(optimise, 0), salt=1)
    outputs = server.run(graph.prompt)
    values = [row["objective"][0] for row in trace(outputs, optimise)["rows"]]
    assert max(values) > values[0]
    assert read(outputs, node)["shape"] == [1, 69, 75, 3]
    assert outputs[before]["text"] == outputs[after]["text"]
    (invert,) = workflow.nodes_of(graph.prompt, "DMAPInvert")
    text = outputs[invert]["text"][0]
    assert float(text.rsplit(" ", 1)[-1]) < 1e-5
    assert ("guidance embedding 3.5" in text) == (family == "Flux.1 dev")
    assert ("distilled" in text) == (family == "Flux.1 schnell")


@pytest.mark.parametrize("family", list(LINEAR))
def test_a_lora_rides_along(server: Server, tools: dict[str, Any], family: str) -> None:
    generator = torch.Generator().manual_seed(0)
    key, rows, columns = LINEAR[family]
    lora = {
        f"diffusion_model.{key}.lora_B.weight": torch.randn(rows, 2, generator=generator),
        f"diffusion_model.{key}.lora_A.weight": torch.randn(2, columns, generator=generator),
    }
    name = f"{family}.safetensors"  # of its own: the host keeps a file that it has read
    save_file(lora, server.base / "models" / "loras" / name)
    ends = []
    for strength in (0.0, 1.0):
        graph = tools["Graph"]()
        parts = flow(graph, family)
        loaded = graph.add("LoraLoaderModelOnly", model=parts["model"], lora_name=name, strength_model=strength)
        parts["model"] = (loaded, 0)
        optimise, decode = restore(graph, parts, steps=2, iterations=1, rule="momentum", step_size=2.0)
        graph.add("PreviewImage", images=(decode, 0))
        rows_ = trace(server.run(graph.prompt), optimise)["rows"]
        ends.append([row["objective"][0] for row in rows_])
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-3)  # both invert exactly
    assert ends[0][1] != ends[1][1]


EXACT = {
    "round trip of residual_ddim": 2e-5,
    "round trip of edict": 2e-5,
    "gradient error": 1e-3,
    "batch against singles": 2e-5,
    "by blocks against computed again": 0.0,
}


@pytest.mark.parametrize("family", ["SD3", "Flux.1 dev"])
def test_control_rides_along(server: Server, tools: dict[str, Any], family: str) -> None:
    """A ControlNet of the family's own class by the stock node: exact as without it, and another ascent."""
    ends = []
    for strength in (0.0, 1.0):
        graph = tools["Graph"]()
        parts = flow(graph, family)
        control = graph.add("DMAPTestFlowControl", family=family)
        applied = graph.add(
            "ControlNetApplyAdvanced", positive=parts["positive"], negative=parts["positive"], control_net=(control, 0),
            image=parts["image"], vae=parts["vae"], strength=strength, start_percent=0.0, end_percent=1.0,
        )  # fmt: skip
        parts["positive"] = (applied, 0)
        optimise, decode = restore(graph, parts, steps=2, iterations=1, rule="momentum", step_size=2.0)
        graph.add("PreviewImage", images=(decode, 0))
        sockets = {name: parts[name] for name in ("model", "positive", "vae", "latent")}
        node = graph.add("DMAPTestFlowFacts", **sockets)
        outputs = server.run(graph.prompt)
        found = read(outputs, node)
        assert all(found[name] <= most for name, most in EXACT.items()), found
        ends.append([row["objective"][0] for row in trace(outputs, optimise)["rows"]])
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-3)  # both invert exactly
    assert ends[0][1] != ends[1][1]


@pytest.mark.parametrize("family", ["SD3.5", "Flux.1 dev", "Z-Image"])
def test_weights_of_eight_bits(server: Server, tools: dict[str, Any], family: str) -> None:
    """Stored as the stock loader's fp8 does: as exact as weights of full precision."""
    graph = tools["Graph"]()
    parts = flow(graph, family)
    parts.pop("image")
    graph.prompt[parts["model"][0]]["inputs"]["weights"] = "fp8"
    before = graph.add("DMAPTestFingerprint", model=parts["model"], salt=0)
    node = graph.add("DMAPTestFlowFacts", **parts)
    outputs = server.run(graph.prompt)
    found = read(outputs, node)
    assert all(found[name] <= most for name, most in EXACT.items()), found
    after = graph.add("DMAPTestFingerprint", model=parts["model"], salt=1)
    assert outputs[before]["text"] == server.run(graph.prompt)[after]["text"]


def test_an_interrupt_keeps_the_best_of_a_flow(server: Server, tools: dict[str, Any]) -> None:
    graph = tools["Graph"]()
    parts = flow(graph, "Z-Image")
    before = graph.add("DMAPTestFingerprint", model=parts["model"], salt=0)
    optimise, decode = restore(graph, parts, steps=1, iterations=900, step_size=0.005, target_score=200.0)
    graph.add("PreviewImage", images=(decode, 0))
    with Listener(server) as listener:
        prompt_id = server.queue(graph.prompt, listener.client)
        for _ in range(1200):
            if any(node == optimise and text.startswith("iteration 2 ") for node, text in listener.texts):
                break
            time.sleep(0.1)
        server.request("/interrupt", b"{}")
        outputs = server.wait(prompt_id, 120)["outputs"]
    found = trace(outputs, optimise)
    assert found["stopped"] == ["interrupt"]
    assert 2 <= len(found["rows"]) < 900
    after = graph.add("DMAPTestFingerprint", model=parts["model"], salt=1)
    rest = {key: node for key, node in graph.prompt.items() if key in (parts["model"][0], before, after)}
    assert server.run(rest)[after]["text"] == outputs[before]["text"]


def test_the_template(server: Server, tools: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Wired as it is shipped, with a tiny model's three parts in place of the three files."""
    prompt = workflow.to_prompt(
        workflow.load(WORKFLOWS / "restore_flow.json"),
        definitions,
        {"LoadImage": {"image": "tiny.png"}, "DMAPInvert": {"steps": 1}, "DMAPOptimize": {"iterations": 1}},
    )
    loaders = {"UNETLoader": 0, "CLIPTextEncode": 1, "VAELoader": 2}
    replaced = {key: loaders[node["class_type"]] for key, node in prompt.items() if node["class_type"] in loaders}
    prompt["100"] = {"class_type": "DMAPTestTinyFlow", "inputs": {"family": "Z-Image"}, "_meta": {"title": "tiny"}}
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value[0] in replaced:
                node["inputs"][name] = ["100", replaced[value[0]]]
    kept = {key: node for key, node in prompt.items() if key not in replaced and node["class_type"] != "CLIPLoader"}
    outputs = server.run(kept)
    (optimise,) = workflow.nodes_of(kept, "DMAPOptimize")
    assert len(trace(outputs, optimise)["rows"]) == 2


def test_guidance_of_the_conditioning_counts(server: Server, tools: dict[str, Any]) -> None:
    """The host's own node sets it, and the run says what is used."""
    graph = tools["Graph"]()
    parts = flow(graph, "Flux.1 dev")
    guided = graph.add("FluxGuidance", conditioning=parts["positive"], guidance=1.5)
    parts["positive"] = (guided, 0)
    invert, decode = inverted(graph, parts)
    graph.add("PreviewImage", images=(decode, 0))
    assert "guidance embedding 1.5 (from the conditioning)" in server.run(graph.prompt)[invert]["text"][0]


@pytest.mark.parametrize("family", ["Z-Image", "Qwen-Image"])
def test_the_self_check_takes_flow_models(server: Server, tools: dict[str, Any], family: str) -> None:
    """Latents with a frame as well, straight from the host's encoder."""
    graph = tools["Graph"]()
    parts = flow(graph, family, "small.png")
    parts.pop("latent")
    node = graph.add("DMAPSelfCheck", **parts, iterations=1)
    assert "DMAP works here" in server.run(graph.prompt)[node]["text"][0]


def test_a_batch_of_frames_is_encoded_one_by_one(server: Server, tools: dict[str, Any]) -> None:
    """Wan's VAE takes a batch for a video; the batch's second picture is what it is alone."""
    graph = tools["Graph"]()
    parts = flow(graph, "Qwen-Image")
    batch = graph.add("RepeatImageBatch", image=parts["image"], amount=2)
    latent = graph.add("DMAPEncode", image=(batch, 0), vae=parts["vae"], tile=0)
    two = {**parts, "image": (batch, 0), "latent": (latent, 0)}
    (_, decode), (_, single) = inverted(graph, two), inverted(graph, parts)
    joined = graph.add("RepeatImageBatch", image=(single, 0), amount=2)
    node = graph.add("DMAPTestCompare", first=(decode, 0), second=(joined, 0))
    assert read(server.run(graph.prompt), node)["inside"]["max"] < 1e-4


def test_a_text_of_another_width(server: Server, tools: dict[str, Any]) -> None:
    graph = tools["Graph"]()
    parts = flow(graph, "Z-Image")
    parts["positive"] = (graph.add("DMAPTestConditioning", kind="narrow"), 0)
    _, decode = inverted(graph, parts)
    graph.add("PreviewImage", images=(decode, 0))
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("DMAP Invert", "'positive'", "width 64", "got 8")), text
