"""Gradient strategies, memory and the host's own ways to be faster, in a real host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.host import Server


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
            target_score=150.0, shift=0, seed=0, **({} if gradient is None else {"gradient": gradient}),
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
        assert "memory for gradients: about" in trace["text"]
    assert "3 of 3 kept" in found["keep"]["text"]
    assert "0 of 3 kept" in found["checkpoint"]["text"]


def test_out_of_memory_is_worked_around_and_said(server: Server, tools: dict[str, Any]) -> None:
    plain = run(server, Restoration(tools))
    restoration = Restoration(tools)
    restoration.through("DMAPTestHungry", after=5, times=2)
    trace = run(server, restoration)
    assert [note for note in trace["notes"] if "out of memory, went on with activations kept of" in note]
    assert "out of memory, went on with" in trace["text"]
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


@pytest.mark.slow
def test_the_hosts_compiled_model_rides_along(server: Server, tools: dict[str, Any]) -> None:
    plain = run(server, Restoration(tools))
    restoration = Restoration(tools)
    restoration.through("TorchCompileModel", backend="inductor")
    trace = run(server, restoration)
    assert objectives(trace) == pytest.approx(objectives(plain), rel=1e-3)
