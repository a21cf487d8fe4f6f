"""What users of the host expect: nothing of theirs is changed, interrupts work, memory stays flat, batches work."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dmap.priors import load_prior
from dmap.priors.compose import MultiScalePrior
from scripts import workflow
from scripts.host import HostError, Server

SMALL = {"image": "small.png"}


def tiny(graph: Any, kind: str = "EPS") -> dict[str, tuple[str, int]]:
    """Tiny Stable Diffusion, photograph, latent and empty text."""
    loader = graph.add("DMAPTestTinySD", kind=kind, channels=4)
    image = graph.add("LoadImage", **SMALL)
    text = graph.add("CLIPTextEncode", text="", clip=(loader, 1))
    latent = graph.add("VAEEncode", pixels=(image, 0), vae=(loader, 2))
    return {
        "model": (loader, 0),
        "vae": (loader, 2),
        "image": (image, 0),
        "positive": (text, 0),
        "latent": (latent, 0),
    }


def restore(graph: Any, parts: dict[str, Any], **options: Any) -> tuple[str, str]:
    """Invert, optimise and decode; returns the ids of DMAPOptimize and of DMAPDecode."""
    names = {"solver": "residual_ddim", "steps": 3, "strength": 0.4, "max_error": 0.05}
    invert = graph.add(
        "DMAPInvert",
        model=parts["model"],
        latent=parts["latent"],
        positive=parts["positive"],
        **{key: options.pop(key, value) for key, value in names.items()},
    )
    prior = graph.add("DMAPLoadPrior", name="dmap_quality")
    settings = {
        "iterations": 2,
        "prior_weight": 1.0,
        "fidelity": "nlpd",
        "fidelity_weight": 1.0,
        "rule": "adam",
        "step_size": 0.02,
        "target_score": 150.0,
        "shift": 4,
        "seed": 0,
    }
    optimise = graph.add(
        "DMAPOptimize",
        path=(invert, 0),
        vae=parts["vae"],
        prior=(prior, 0),
        image=parts["image"],
        **{**settings, **options},
    )
    decode = graph.add("DMAPDecode", path=(optimise, 0), vae=parts["vae"])
    return optimise, decode


def trace(outputs: dict[str, Any], node: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outputs[node]["dmap_trace"][0])
    return found


def pixels(server: Server, outputs: dict[str, Any], node: str) -> list[np.ndarray[Any, Any]]:
    files = [server.base / "output" / image["filename"] for image in outputs[node]["images"]]
    return [np.asarray(Image.open(file)) for file in files]


def ksampler(graph: Any, parts: dict[str, Any], prefix: str) -> str:
    sampled = graph.add(
        "KSampler", model=parts["model"], positive=parts["positive"], negative=parts["positive"],
        latent_image=parts["latent"], seed=5, steps=3, cfg=2.0, sampler_name="euler", scheduler="normal", denoise=0.8,
    )  # fmt: skip
    image = graph.add("VAEDecode", samples=(sampled, 0), vae=parts["vae"])
    saved: str = graph.add("SaveImage", images=(image, 0), filename_prefix=prefix)
    return saved


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


@pytest.mark.parametrize("what", ["controlnet", "attention patch"])
def test_control_and_attention_patches_ride_along(server: Server, tools: dict[str, Any], what: str) -> None:
    """A ControlNet of the host's own class, applied by the stock node, or a patch as IP-Adapters make one.

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
            parts["model"] = (graph.add("DMAPTestAttentionPatch", model=parts["model"], image=parts["image"]), 0)
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


def test_a_saved_path_goes_on(server: Server, tools: dict[str, Any]) -> None:
    """Two iterations, saved; loading it and two more start where the first left off; files elsewhere are refused."""
    graph = tools["Graph"]()
    parts = tiny(graph)
    optimise, decode = restore(graph, parts, shift=0)
    graph.add("PreviewImage", images=(decode, 0))
    saved = graph.add("DMAPSavePath", path=(optimise, 0), filename_prefix="kept/path")
    outputs = server.run(graph.prompt)
    name = "output/kept/" + outputs[saved]["text"][0].removeprefix("saved as ")
    assert server.get("/object_info/DMAPLoadPath")["DMAPLoadPath"]["input"]["required"]["file"][1]["options"][0] == name

    del graph.prompt[saved]
    load = graph.add("DMAPLoadPath", file=name, model=parts["model"], positive=parts["positive"])
    graph.prompt[optimise]["inputs"]["path"] = [load, 0]
    first, second = trace(outputs, optimise), trace(server.run(graph.prompt), optimise)
    best = first["rows"][first["best_iteration"][0]]["objective"][0]
    assert second["rows"][0]["objective"][0] == pytest.approx(best, rel=1e-5)

    (server.base / "output" / "foreign.safetensors").write_bytes(b"no safetensors")
    for file, words in (("output/foreign.safetensors", "cannot be read"), ("output/../../secret.safetensors", "file")):
        graph.prompt[load]["inputs"]["file"] = file
        with pytest.raises(HostError, match=words):
            server.run(graph.prompt)


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
    score = graph.add("DMAPScoreImages", image=(batch, 0), prior_1=(scaled, 0), prior_2=(own, 0), before=(image, 0))
    graph.add("SaveImage", images=(score, 1), filename_prefix="scores")
    shown = graph.add("PreviewAny", source=(score, 0))
    outputs = server.run(graph.prompt)
    table = json.loads(outputs[shown]["text"][0])
    assert [row["optimised"] for row in table] == [None, None]
    assert [len(row["after"]) for row in table] == [2, 2]
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


@pytest.mark.slow
def test_a_lora_rides_along(server: Server, tools: dict[str, Any], sd15: str) -> None:
    """The stock LoRA loader's model is what is inverted: with and without it the latents differ."""
    generator = torch.Generator().manual_seed(0)
    key = "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_attn1_to_q"
    lora = {
        f"{key}.lora_up.weight": torch.randn(320, 4, generator=generator),
        f"{key}.lora_down.weight": torch.randn(4, 320, generator=generator) * 0.5,
        f"{key}.alpha": torch.tensor(4.0),
    }
    save_file(lora, server.base / "models" / "loras" / "random.safetensors")
    results = []
    for strength in (0.0, 1.0):
        graph = tools["Graph"]()
        loader = graph.add("CheckpointLoaderSimple", ckpt_name=sd15)
        model = graph.add(
            "LoraLoaderModelOnly", model=(loader, 0), lora_name="random.safetensors", strength_model=strength
        )
        image = graph.add("LoadImage", **SMALL)
        text = graph.add("CLIPTextEncode", text="", clip=(loader, 1))
        latent = graph.add("VAEEncode", pixels=(image, 0), vae=(loader, 2))
        parts = {
            "model": (model, 0),
            "vae": (loader, 2),
            "image": (image, 0),
            "positive": (text, 0),
            "latent": (latent, 0),
        }
        optimise, decode = restore(graph, parts, steps=2, strength=0.2, iterations=1)
        graph.add("PreviewImage", images=(decode, 0))
        results.append(trace(server.run(graph.prompt), optimise)["rows"])
    assert results[0][0]["objective"][0] == pytest.approx(
        results[1][0]["objective"][0], rel=1e-3
    )  # both invert exactly
    assert results[0][1]["objective"][0] != results[1][1]["objective"][0]


def test_an_interrupt_gives_the_best_to_the_graph(server: Server, demo_prompt: dict[str, Any]) -> None:
    """Saved, and handed on: the prompt ends well with the best so far, and the same prompt computes it anew."""
    (optimise,) = workflow.nodes_of(demo_prompt, "DMAPOptimize")
    demo_prompt[optimise]["inputs"] |= {"iterations": 900, "target_score": 200.0, "seed": 11}
    done = 0
    for wait in (8, 8, 60):  # before the first evaluation there is no best yet: then the prompt is only interrupted
        before = {name: set(server.base.glob(f"output/{name}_*.png")) for name in ("dmap_best_so_far", "DMAP_restored")}
        prompt_id = server.queue(demo_prompt)
        time.sleep(wait)
        server.request("/interrupt", b"{}")
        try:
            found = trace(server.wait(prompt_id, 120)["outputs"], optimise)
        except HostError as error:
            if "interrupted" not in str(error):
                raise
            continue
        assert found["stopped"] == ["interrupt"]
        assert 1 <= len(found["rows"]) < 900
        for name, files in before.items():  # the second time too: nothing came from the host's cache
            (new,) = set(server.base.glob(f"output/{name}_*.png")) - files
            with Image.open(new) as best:
                assert best.size == (128, 128)
        done += 1
        if done == 2:
            break
    assert done >= 1
    demo_prompt[optimise]["inputs"] |= {"iterations": 1, "seed": 12}
    assert trace(server.run(demo_prompt), optimise)["stopped"] == ["iterations"]


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


def test_batches_and_unusual_references(server: Server, tools: dict[str, Any]) -> None:
    """Two images at once equal one by one; alpha is dropped, grey is repeated."""
    scores: dict[str, list[list[float]]] = {}
    for kind in ("none", "batch2", "alpha", "grey"):
        graph = tools["Graph"]()
        parts = tiny(graph)
        spoilt = graph.add("DMAPTestSpoil", image=parts["image"], kind=kind)
        parts["image"] = (spoilt, 0)
        if kind == "batch2":
            graph.prompt[parts["latent"][0]]["inputs"]["pixels"] = [spoilt, 0]
        optimise, decode = restore(graph, parts, rule="momentum", step_size=5.0)
        graph.add("PreviewImage", images=(decode, 0))
        scores[kind] = [row["objective"] for row in trace(server.run(graph.prompt), optimise)["rows"]]
    # Kernels round differently for two images, and every step amplifies that a little.
    assert [row[0] for row in scores["batch2"]] == pytest.approx([row[0] for row in scores["none"]], rel=5e-4)
    assert len(scores["batch2"][0]) == 2
    assert scores["alpha"] == scores["none"]
    assert scores["grey"] != scores["none"]


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


def test_the_server_leaves_no_unexpected_files(server: Server) -> None:
    assert not list(Path(server.base / "output").glob("*.part"))
