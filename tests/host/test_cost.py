"""Gradient strategies, memory and the host's own ways to be faster, in a real host."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dmap.memory.plan import gib
from tools.host.server import Server

HERE = Path(__file__).resolve().parent


class Restoration:
    """The tiny Stable Diffusion's graph up to DMAP Optimize, its model changed on the way."""

    def __init__(self, tools: dict[str, Any]) -> None:
        self.graph = tools["Graph"]()
        self.loader = self.graph.add("DMAPTestTinySD", kind="EPS", channels=4)
        self.model = (self.loader, 0)

    def through(self, node: str, **options: Any) -> None:
        """Put a node between the model and the rest."""
        self.model = (self.graph.add(node, model=self.model, **options), 0)

    def finish(self, gradient: str | None = None, iterations: int = 2) -> str:
        """The rest of the graph; returns the id of DMAPOptimize."""
        add = self.graph.add
        image = add("LoadImage", image="tiny.png")
        text = add("CLIPTextEncode", text="", clip=(self.loader, 1))
        latent = add("VAEEncode", pixels=(image, 0), vae=(self.loader, 2))
        invert = add("DMAPInvert", model=self.model, latent=(latent, 0), positive=(text, 0), solver="residual_ddim",
                     steps=3, strength=0.2, max_error=0.05)  # fmt: skip
        prior = add("DMAPLoadPrior", name="dmap_quality")
        found: str = add(
            "DMAPOptimize", path=(invert, 0), vae=(self.loader, 2), prior=(prior, 0), image=(image, 0),
            iterations=iterations, prior_weight=1.0, fidelity="nlpd", fidelity_weight=1.0, rule="adam", step_size=0.02,
            target_score=150.0, shift=0, seed=0, detail="0", **({} if gradient is None else {"gradient": gradient}),
        )  # fmt: skip
        decoded = add("DMAPDecode", path=(found, 0), vae=(self.loader, 2))
        add("PreviewImage", images=(decoded, 0))
        return found


def run(server: Server, restoration: Restoration, gradient: str | None = None) -> dict[str, Any]:
    """The trace, with the node's text under "text"."""
    node = restoration.finish(gradient)
    outputs = server.run(restoration.graph.prompt)[node]
    server.free()
    return {**json.loads(outputs["dmap_trace"][0]), "text": outputs["text"][0]}


def objectives(trace: dict[str, Any]) -> list[float]:
    return [row["objective"][0] for row in trace["rows"]]


@pytest.mark.parametrize("in_place", [False, True])
def test_every_gradient_climbs_and_exact_ones_agree(server: Server, tools: dict[str, Any], in_place: bool) -> None:
    """Also where the model's blocks are patched in place and calls are kept; an old workflow names no gradient."""
    found = {}
    for gradient in (None, "checkpoint", "keep", "sparse", "short_chain"):
        restoration = Restoration(tools)
        restoration.through("DMAPTestPatch", in_place=in_place)
        found[gradient] = run(server, restoration, gradient)
    exact = objectives(found["checkpoint"])
    for gradient, trace in found.items():
        close = 1e-4 if gradient in (None, "checkpoint", "keep") else 0.2
        assert objectives(trace) == pytest.approx(exact, abs=close * abs(exact[-1] - exact[0]) + 1e-5), gradient
        assert objectives(trace)[-1] > objectives(trace)[0], gradient
        assert "memory for an iteration: about" in trace["memory"]
        assert "memory" not in trace["text"]
    assert "3 of 3 network calls kept" in found["keep"]["memory"]
    assert "0 of 3 network calls kept" in found["checkpoint"]["memory"]
    assert "2 of 2 network calls kept" in found["sparse"]["memory"]


def test_out_of_memory_is_worked_around_and_said(server: Server, tools: dict[str, Any]) -> None:
    plain = run(server, Restoration(tools))
    restoration = Restoration(tools)
    restoration.through("DMAPTestHungry", after=5, times=2)
    trace = run(server, restoration)
    told = re.compile(r"gradient: out of memory in iteration \d, went on with activations kept of \d calls")
    assert [note for note in trace["notes"] if told.fullmatch(note)]
    assert told.search(trace["text"])
    assert objectives(trace) == pytest.approx(objectives(plain), rel=1e-5)


def test_out_of_memory_for_good_names_the_widget_and_saves_the_best(server: Server, tools: dict[str, Any]) -> None:
    before = set((server.base / "output").glob("dmap_best_so_far*"))
    restoration = Restoration(tools)
    restoration.through("DMAPTestHungry", after=5, times=10**6)
    restoration.finish()
    text = tools["failure"](server, restoration.graph.prompt)
    assert "DMAP Optimize, gradient: out of memory" in text
    assert "use a smaller image or batch" in text
    assert set((server.base / "output").glob("dmap_best_so_far*")) - before
    server.free()


def test_the_host_is_asked_for_what_the_node_states(server: Server, tools: dict[str, Any]) -> None:
    """Once before loading, and once for what was measured; with this little to ask, all of it is granted."""
    restoration = Restoration(tools)
    restoration.through("DMAPTestWitness")
    node = restoration.finish()
    said = restoration.graph.add("DMAPTestTestimony", after=(node, 0))
    outputs = server.run(restoration.graph.prompt)
    server.free()
    requests = json.loads(outputs[said]["text"][0])["requests"]
    stated = re.search(r"about (\d+ MiB)", json.loads(outputs[node]["dmap_trace"][0])["memory"])
    assert stated is not None
    assert stated[1] in {gib(request) for request in requests}


def test_a_batch_takes_one_call_and_there_is_no_guidance(server: Server, tools: dict[str, Any]) -> None:
    """Two images, 3 steps: every call sees both, with the positive conditioning alone."""
    restoration = Restoration(tools)
    restoration.through("DMAPTestWitness")
    node = restoration.finish("keep")
    graph = restoration.graph
    image = next(key for key, part in graph.prompt.items() if part["class_type"] == "LoadImage")
    twice = graph.add("RepeatImageBatch", image=(image, 0), amount=2)
    for part in graph.prompt.values():
        for name in ("pixels", "image"):
            if part["inputs"].get(name) == [image, 0] and part["class_type"] != "RepeatImageBatch":
                part["inputs"][name] = [twice, 0]
    said = graph.add("DMAPTestTestimony", after=(node, 0))
    outputs = server.run(graph.prompt)
    server.free()
    calls = json.loads(outputs[said]["text"][0])["calls"]
    assert {(call["batch"], *call["conds"]) for call in calls} == {(2, 0)}
    # Inverted with 3 evaluations a step and gone back once; an iteration is 3 calls with a gradient, and one more is
    # run to measure its memory; at the end an evaluation without.
    assert [call["sort"] for call in calls].count("no gradient") == 3 * 3 + 3 + 3
    assert [call["sort"] for call in calls].count("gradient") == 1 + 2 * 3


# Precision of the tiny Stable Diffusion's U-Net -> the least cosine of its gradient to fp32's. Its random weights
# magnify rounding: with trained ones it is much less (docs/cost.md).
COSINES = {"fp16": 0.999, "bf16": 0.98, "fp16 cast to fp32": 0.9995, "fp8 cast to fp32": 0.7, "fp8 cast to bf16": 0.7}


def test_gradients_through_the_hosts_precisions(server: Server, tools: dict[str, Any]) -> None:
    """Inversion, sampling and decoding included; latents and gradients stay float32."""
    found = {}
    for precision in ("fp32", *COSINES):
        graph = tools["Graph"]()
        loader = graph.add("DMAPTestTinySD", kind="EPS", channels=4, precision=precision)
        image = graph.add("LoadImage", image="tiny.png")
        text = graph.add("CLIPTextEncode", text="", clip=(loader, 1))
        latent = graph.add("VAEEncode", pixels=(image, 0), vae=(loader, 2))
        file = f"precision {precision}.safetensors"
        parts = {"model": (loader, 0), "positive": (text, 0), "vae": (loader, 2), "latent": (latent, 0)}
        graph.add("DMAPTestProbe", **parts, file=file)
        server.run(graph.prompt)
        server.free()
        found[precision] = load_file(server.base / "output" / file)
        assert {tensor.dtype for tensor in found[precision].values()} == {torch.float32}
    exact = found["fp32"]["gradient"]
    for precision, least in COSINES.items():
        gradient = found[precision]["gradient"]
        cosine = float(torch.nn.functional.cosine_similarity(gradient.flatten(), exact.flatten(), dim=0))
        print(f"{precision}: cosine {cosine:.5f}, off by {float((gradient - exact).norm() / exact.norm()):.2e}")
        assert least <= cosine < 1 - 1e-9, precision


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["split", "pytorch"])
def test_the_hosts_choice_of_attention_does_not_matter(
    server: Server, tools: dict[str, Any], choice: str, tmp_path: Path
) -> None:
    """Against the default on a CPU, which is the sub-quadratic one and has no gradient of its own."""
    plain = run(server, Restoration(tools))
    with Server(tmp_path, packs=[HERE / "dmap_test_nodes"], arguments=[f"--use-{choice}-cross-attention"]) as other:
        other.upload(server.base / "input" / "tiny.png")
        trace = run(other, Restoration(tools))
    # An ascent enlarges what rounding begins with.
    assert objectives(trace)[:2] == pytest.approx(objectives(plain)[:2], rel=1e-5)
    assert objectives(trace) == pytest.approx(objectives(plain), rel=1e-3)
    assert objectives(trace)[-1] > objectives(trace)[0]


@pytest.mark.slow
def test_the_hosts_compiled_model_rides_along(server: Server, tools: dict[str, Any]) -> None:
    plain = run(server, Restoration(tools))
    restoration = Restoration(tools)
    restoration.through("TorchCompileModel", backend="inductor")
    trace = run(server, restoration)
    assert objectives(trace) == pytest.approx(objectives(plain), rel=1e-3)
