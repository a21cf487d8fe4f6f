"""What users of the host expect: nothing of theirs is changed, memory stays flat, unusual images are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostgraphs import SMALL, ksampler, pixels, restore, tiny, trace
from tools.host import workflow
from tools.host.server import Server


@pytest.mark.parametrize("models", ["tiny", "demo"])
def test_stock_nodes_give_the_same_before_and_after_ours(server: Server, tools: dict[str, Any], models: str) -> None:
    """A KSampler with stock VAE nodes runs on the same objects, ours between, and nothing differs by a bit."""
    graph = tools["Graph"]()
    if models == "tiny":
        parts = tiny(graph)
    else:
        demo, image = graph.add("DMAPLoadDemoModels"), graph.add("LoadImage", **SMALL)
        latent = graph.add("VAEEncode", pixels=(image, 0), vae=(demo, 2))
        parts = {
            "model": (demo, 0),
            "positive": (demo, 1),
            "vae": (demo, 2),
            "image": (image, 0),
            "latent": (latent, 0),
        }
    before_print = graph.add("DMAPTestFingerprint", model=parts["model"], salt=0)
    before = ksampler(graph, parts, f"{models}_before")
    first = server.run(graph.prompt)

    _, decode = restore(graph, parts)
    graph.add("SaveImage", images=(decode, 0), filename_prefix="ours")
    after_print = graph.add("DMAPTestFingerprint", model=parts["model"], salt=1, after=(decode, 0))
    second = server.run(graph.prompt)

    after = ksampler(graph, parts, f"{models}_after")
    graph.prompt[str(int(after) - 2)]["inputs"]["sampler_name"] = "euler"
    graph.prompt[str(int(after) - 2)]["inputs"]["seed"] = 6
    server.run(graph.prompt)  # another seed first, so that the host cannot answer from its cache
    graph.prompt[str(int(after) - 2)]["inputs"]["seed"] = 5
    third = server.run(graph.prompt)
    assert np.array_equal(pixels(server, first, before)[0], pixels(server, third, after)[0])
    assert pixels(server, first, before)[0].std() > 1
    assert first[before_print]["text"] == second[after_print]["text"]


def test_a_network_patched_in_place_gives_the_same_result(server: Server, tools: dict[str, Any]) -> None:
    """A control signal added in place must not corrupt the gradient: compare with one added on a copy.

    Several times, because PyTorch's own protection fails only in some runs.
    """
    gains = []
    for seed, in_place in enumerate((False, True, True, True)):  # without shifts the seed only defeats the host's cache
        graph = tools["Graph"]()
        parts = tiny(graph)
        parts["model"] = (graph.add("DMAPTestPatch", model=parts["model"], in_place=in_place), 0)
        # Momentum is linear in the gradient; Adam's first step is its sign and would magnify rounding.
        optimise, decode = restore(graph, parts, shift=0, rule="momentum", step_size=5.0, seed=seed)
        graph.add("PreviewImage", images=(decode, 0))
        rows = trace(server.run(graph.prompt), optimise)["rows"]
        gains.append([row["objective"][0] - rows[0]["objective"][0] for row in rows[1:]])
    assert gains[0][-1] > 0
    for gain in gains[1:]:
        assert gain == pytest.approx(gains[0], rel=1e-6)


def test_ten_queued_runs_keep_memory_flat(server: Server, demo_prompt: dict[str, Any]) -> None:
    (optimise,) = workflow.nodes_of(demo_prompt, "DMAPOptimize")
    demo_prompt[optimise]["inputs"]["iterations"] = 1
    ids = []
    for seed in range(100, 110):
        demo_prompt[optimise]["inputs"]["seed"] = seed
        ids.append(server.queue(json.loads(json.dumps(demo_prompt))))
    used = []
    for prompt_id in ids:
        server.wait(prompt_id)
        used.append(server.memory("VmRSS"))
    assert max(used[5:]) < max(used[:5]) + 60, used


def test_sides_that_are_no_multiple_of_the_latent_grid(server: Server, tools: dict[str, Any]) -> None:
    graph = tools["Graph"]()
    parts = tiny(graph)
    graph.prompt[parts["image"][0]]["inputs"]["image"] = "odd.png"
    optimise, decode = restore(graph, parts)
    saved = graph.add("SaveImage", images=(decode, 0), filename_prefix="odd")
    outputs = server.run(graph.prompt)
    assert pixels(server, outputs, saved)[0].shape == (128, 128, 3)
    assert trace(outputs, optimise)["rows"]


def test_inverting_and_decoding_alone_returns_the_photograph(server: Server, tools: dict[str, Any]) -> None:
    graph = tools["Graph"]()
    demo, image = graph.add("DMAPLoadDemoModels"), graph.add("LoadImage", **SMALL)
    latent = graph.add("VAEEncode", pixels=(image, 0), vae=(demo, 2))
    invert = graph.add(
        "DMAPInvert", model=(demo, 0), positive=(demo, 1), latent=(latent, 0),
        solver="residual_ddim", steps=5, strength=0.4, max_error=0.001,
    )  # fmt: skip
    decode = graph.add("DMAPDecode", path=(invert, 0), vae=(demo, 2))
    stock = graph.add("VAEDecode", samples=(latent, 0), vae=(demo, 2))
    again = graph.add("VAEDecode", samples=(decode, 1), vae=(demo, 2))
    saved = [
        graph.add("SaveImage", images=(node, 0), filename_prefix=f"alone{i}")
        for i, node in enumerate((decode, stock, again))
    ]
    outputs = server.run(graph.prompt)
    ours, theirs, decoded = (pixels(server, outputs, node)[0].astype(int) for node in saved)
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(decoded - theirs).max() <= 1


def test_the_server_leaves_no_unexpected_files(server: Server, demo_prompt: dict[str, Any]) -> None:
    """A run adds pictures to the output folder, nothing half written anywhere, and nothing outside the host's own."""
    base = Path(server.base)
    before = {file for file in base.rglob("*") if file.is_file()}
    assert before
    server.run(demo_prompt)
    new = {file.relative_to(base) for file in base.rglob("*") if file.is_file()} - {
        file.relative_to(base) for file in before
    }
    assert new
    unexpected = [
        file for file in new if file.parts[0] not in ("output", "temp", "user") or file.suffix in (".part", ".tmp")
    ]
    assert unexpected == []
    assert any(file.parts[0] == "output" and file.suffix == ".png" for file in new)
