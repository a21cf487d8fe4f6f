"""The kinds of models, and what artists hang on them, in a real host: each inverts exactly and climbs."""

from __future__ import annotations

from typing import Any

import pytest

from hostgraphs import restore, tiny, tiny_lora, trace
from tools.host import workflow
from tools.host.server import Server


@pytest.mark.parametrize("kind", ["EPS", "V_PREDICTION"])
@pytest.mark.parametrize("solver", ["residual_ddim", "edict"])
def test_the_objective_rises(server: Server, tools: dict[str, Any], kind: str, solver: str) -> None:
    graph = tools["Graph"]()
    optimise, decode = restore(graph, tiny(graph, kind), solver=solver, steps=4, iterations=3, step_size=0.005)
    graph.add("PreviewImage", images=(decode, 0))
    values = [row["objective"][0] for row in trace(server.run(graph.prompt), optimise)["rows"]]
    assert values[-1] > values[0]


@pytest.mark.parametrize("kind", ["SD2 EPS", "SD2 V_PREDICTION", "SDXL EPS", "SDXL V_PREDICTION"])
def test_stable_diffusion_2_and_xl(server: Server, tools: dict[str, Any], kind: str) -> None:
    """The host's own classes at a tenth of their width: exact round trip, and the objective rises."""
    graph = tools["Graph"]()
    parts = tiny(graph, kind)
    parts["positive"] = (graph.add("DMAPTestConditioning", kind="wide"), 0)
    optimise, decode = restore(graph, parts, steps=2, iterations=2, step_size=0.005)
    graph.add("PreviewImage", images=(decode, 0))
    outputs = server.run(graph.prompt)
    values = [row["objective"][0] for row in trace(outputs, optimise)["rows"]]
    assert values[-1] > values[0]
    (invert,) = workflow.nodes_of(graph.prompt, "DMAPInvert")
    assert float(outputs[invert]["text"][0].rsplit(" ", 1)[-1]) < 1e-4


@pytest.mark.parametrize("what", ["controlnet", "output", "replace"])
def test_control_and_attention_patches_ride_along(server: Server, tools: dict[str, Any], what: str) -> None:
    """A ControlNet of the host's own class, applied by the stock node, or patches of the attention as IP-Adapters' are.

    The inversion stays exact, the objective rises, and the image differs from that without.
    """
    starts, ends = [], []
    for used in (True, False):
        graph = tools["Graph"]()
        parts = tiny(graph)
        if used and what == "controlnet":
            network = graph.add("DMAPTestTinyControlNet")
            applied = graph.add(
                "ControlNetApplyAdvanced", positive=parts["positive"], negative=parts["positive"],
                control_net=(network, 0), image=parts["image"], strength=1.0, start_percent=0.0, end_percent=1.0,
            )  # fmt: skip
            parts["positive"] = (applied, 0)
        elif used:
            patched = graph.add("DMAPTestAttentionPatch", model=parts["model"], image=parts["image"], kind=what)
            parts["model"] = (patched, 0)
        optimise, decode = restore(graph, parts, steps=2, iterations=2, rule="momentum", step_size=2.0)
        graph.add("PreviewImage", images=(decode, 0))
        values = [row["objective"][0] for row in trace(server.run(graph.prompt), optimise)["rows"]]
        starts.append(values[0])
        ends.append(values[-1])
    assert ends[0] > starts[0]
    assert starts[0] == pytest.approx(starts[1], rel=1e-3)  # both invert exactly
    assert ends[0] != ends[1]


def test_the_size_conditioning_of_sdxl_counts(server: Server, tools: dict[str, Any]) -> None:
    """The picture's own size is what SDXL is told when the conditioning does not say another."""
    ends = []
    for size in (0, 128, 1024):
        graph = tools["Graph"]()
        parts = tiny(graph, "SDXL EPS")
        parts["positive"] = (graph.add("DMAPTestConditioning", kind="wide", size=size), 0)
        optimise, decode = restore(graph, parts, steps=2, iterations=1, rule="momentum", step_size=5.0)
        graph.add("PreviewImage", images=(decode, 0))
        ends.append(trace(server.run(graph.prompt), optimise)["rows"][-1]["objective"][0])
    assert ends[0] == pytest.approx(ends[1], rel=1e-9)
    assert ends[0] != ends[2]


def test_a_lora_rides_along(server: Server, tools: dict[str, Any]) -> None:
    """The stock LoRA loader's model is what is inverted: with and without it the latents differ."""
    lora = tiny_lora(server, "rides along")
    results = []
    for strength in (0.0, 1.0):
        graph = tools["Graph"]()
        parts = tiny(graph)
        loaded = graph.add("LoraLoaderModelOnly", model=parts["model"], lora_name=lora, strength_model=strength)
        parts["model"] = (loaded, 0)
        optimise, decode = restore(graph, parts, steps=2, strength=0.2, iterations=1)
        graph.add("PreviewImage", images=(decode, 0))
        results.append(trace(server.run(graph.prompt), optimise)["rows"])
    assert results[0][0]["objective"][0] == pytest.approx(
        results[1][0]["objective"][0], rel=1e-3
    )  # both invert exactly
    assert results[0][1]["objective"][0] != results[1][1]["objective"][0]
