"""What young hosts do differently, in an old host that has been given their habits (``DMAP_YOUNG_HOST=1``)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hostgraphs import SMALL, pixels, read, restore, tiny, trace
from tools.host.server import Server


def _state(server: Server, graph: Any, after: tuple[str, int]) -> dict[str, Any]:
    key = graph.add("DMAPTestYoungState", after=after)
    graph.add("SaveImage", images=after, filename_prefix="young")
    found: dict[str, Any] = json.loads(server.run(graph.prompt)[key]["text"][0])
    return found


def _paged(
    server: Server, tools: dict[str, Any], plain: bool = False, control: bool = False, half: bool = False
) -> Any:
    """Objective of each iteration, the image, and how often weights were taken away while it was made."""
    server.free()
    graph = tools["Graph"]()
    parts = tiny(graph, photograph="least.png") if half else tiny(graph)  # half precision is slow on most CPUs
    if half:
        parts["vae"] = (graph.add("DMAPTestYoungHalfVAE", vae=parts["vae"]), 0)
    if plain:
        node = graph.add("DMAPTestYoungPlain", model=parts["model"], vae=parts["vae"])
        parts["model"], parts["vae"] = (node, 0), (node, 1)
    # The host's own nodes first: what they page in are inference tensors, and stay there.
    decoded = graph.add("VAEDecode", samples=parts["latent"], vae=parts["vae"])
    parts["latent"] = (graph.add("VAEEncode", pixels=(decoded, 0), vae=parts["vae"]), 0)
    parts["image"] = (decoded, 0)
    if control:
        network = graph.add("DMAPTestTinyControlNet")
        applied = graph.add(
            "ControlNetApplyAdvanced", positive=parts["positive"], negative=parts["positive"],
            control_net=(network, 0), image=parts["image"], strength=1.0, start_percent=0.0, end_percent=1.0,
        )  # fmt: skip
        parts["positive"] = (applied, 0)
    optimise, decode = restore(
        graph, parts, steps=2, iterations=2, rule="momentum", step_size=2.0, gradient="checkpoint"
    )
    saved = graph.add("SaveImage", images=(decode, 0), filename_prefix="paged")
    state = graph.add("DMAPTestYoungState", after=(decode, 0))
    outputs = server.run(graph.prompt)
    rows = trace(outputs, optimise)["rows"]
    taken = json.loads(outputs[state]["text"][0])
    return [row["objective"][0] for row in rows], pixels(server, outputs, saved)[0].tobytes(), taken


@pytest.mark.parametrize("control", [False, True])
def test_weights_that_are_taken_away_between_calls_change_nothing(
    server: Server, tools: dict[str, Any], control: bool
) -> None:
    """Bit for bit what plain patchers give, with every page overwritten between any two operations."""
    before = _paged(server, tools, plain=True, control=control)[2]
    first, image, after = _paged(server, tools, control=control)
    second, same, _ = _paged(server, tools, plain=True, control=control)
    assert after["pages"] > before["pages"]
    assert after["in place"] > before["in place"]
    assert first == second
    assert image == same


def test_a_half_precision_vae_of_a_full_precision_file(server: Server, tools: dict[str, Any]) -> None:
    values, _, _ = _paged(server, tools, half=True)
    assert values[-1] > values[0]


def test_operations_without_a_gradient(server: Server, tools: dict[str, Any]) -> None:
    """The host's switch to plain operations is used, and given back."""
    graph = tools["Graph"]()
    parts = tiny(graph)
    parts["model"] = (graph.add("DMAPTestYoungRotary", model=parts["model"], gated=True), 0)
    optimise, decode = restore(graph, parts, steps=2, iterations=3, step_size=0.005)
    state = graph.add("DMAPTestYoungState", after=(decode, 0))
    graph.add("SaveImage", images=(decode, 0), filename_prefix="rotary")
    outputs = server.run(graph.prompt)
    values = [row["objective"][0] for row in trace(outputs, optimise)["rows"]]
    assert values[-1] > values[0]
    assert json.loads(outputs[state]["text"][0])["in_training"] is False


def test_an_operation_that_has_no_gradient_at_all_is_named(server: Server, tools: dict[str, Any]) -> None:
    graph = tools["Graph"]()
    parts = tiny(graph)
    parts["model"] = (graph.add("DMAPTestYoungRotary", model=parts["model"], gated=False), 0)
    _, decode = restore(graph, parts, steps=2, iterations=1)
    graph.add("SaveImage", images=(decode, 0), filename_prefix="rotary")
    message = tools["failure"](server, graph.prompt)
    assert "socket 'model'" in message
    assert "dmap_young" in message
    state = tools["Graph"]()
    image = state.add("LoadImage", **SMALL)
    assert _state(server, state, (image, 0))["in_training"] is False


def test_alpha_is_kept_where_the_encoder_drops_channels(server: Server, tools: dict[str, Any]) -> None:
    """From the stock VAE Encode, whose crop of odd sides leaves three channels."""
    graph = tools["Graph"]()
    parts = tiny(graph)
    loaded = graph.add("LoadImage", image="odd.png")
    parts["image"] = (graph.add("DMAPTestSpoil", image=(loaded, 0), kind="alpha"), 0)
    parts["latent"] = (graph.add("VAEEncode", pixels=parts["image"], vae=parts["vae"]), 0)
    _, decode = restore(graph, parts, steps=1, iterations=1)
    shape = graph.add("DMAPTestCompare", first=(decode, 0), second=parts["image"])
    graph.add("PreviewImage", images=(decode, 0))
    assert read(server.run(graph.prompt), shape)["shape"] == [1, 128, 128, 4]
