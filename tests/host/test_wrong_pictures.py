"""No wrong picture without a word: what does not belong together is told, read right, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hostgraphs import Restoration, read, tiny, trace
from tools.host import workflow
from tools.host.server import Server

CHANGES: dict[str, dict[str, Any]] = {
    "KSampler": {"seed": 5, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 0.7},
    "LatentFlip": {"flip_method": "y-axis: horizontally"},
    "LatentRotate": {"rotation": "180 degrees"},
    "LatentMultiply": {"multiplier": 0.5},
}
"""Stock nodes that copy what they do not know of a LATENT."""


@pytest.mark.parametrize("kind", [*CHANGES, "none"])
def test_a_changed_latent_is_what_is_inverted(server: Server, tools: dict[str, Any], kind: str) -> None:
    """Not the photograph that it once was of: with all detail the result would be that, or a double exposure."""
    made = Restoration(tools, photograph="small.png")
    if kind != "none":
        link = "latent_image" if kind == "KSampler" else "samples"
        more = {"model": made.model, "positive": made.positive, "negative": made.positive} if kind == "KSampler" else {}
        made.latent = (made.graph.add(kind, **{link: made.latent}, **more, **CHANGES[kind]), 0)
        made.graph.prompt[made.invert]["inputs"]["latent"] = list(made.latent)
    shown = (made.graph.add("VAEDecode", samples=made.latent, vae=made.vae), 0)
    made.image = shown if kind != "none" else made.image
    best = made.optimise(detail="1", image=made.image)
    result = made.compare(made.decode(best, strength=0.0, colour="off"), made.image)
    outputs = server.run(made.graph.prompt)
    assert read(outputs, result)["inside"]["max"] < 1e-4
    assert ("the latent was changed" in outputs[made.invert]["text"][0]) == (kind != "none")


@pytest.mark.parametrize("encoder", ["DMAPEncode", "VAEEncode"])
def test_a_noise_mask_is_taken(server: Server, tools: dict[str, Any], encoder: str) -> None:
    """SetLatentNoiseMask before the inversion: outside of it the photograph stays, with a second mask in both."""
    made = Restoration(tools, photograph="small.png")
    if encoder == "VAEEncode":
        made.latent = (made.graph.add("VAEEncode", pixels=made.image, vae=made.vae), 0)
    mask = (made.graph.add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    masked = made.graph.add("SetLatentNoiseMask", samples=made.latent, mask=mask)
    made.graph.prompt[made.invert]["inputs"]["latent"] = [masked, 0]
    by_latent = made.compare(made.decode(made.optimise()), made.image, mask)
    other = (made.graph.add("SolidMask", value=1.0, width=128, height=128), 0)
    both = made.compare(made.decode(made.optimise(mask=other)), made.image, mask)
    outputs = server.run(made.graph.prompt)
    assert read(outputs, by_latent)["outside"]["max"] == 0
    assert read(outputs, by_latent)["inside"]["max"] > 1e-3
    assert read(outputs, both)["outside"]["max"] == 0
    assert "noise mask" in outputs[made.invert]["text"][0]
    empty = made.graph.add("SolidMask", value=0.0, width=128, height=128)
    made.graph.prompt[masked]["inputs"]["mask"] = [empty, 0]
    assert "'latent': its noise mask is empty" in tools["failure"](server, made.graph.prompt)


def test_a_noise_mask_is_saved_with_its_path(server: Server, tools: dict[str, Any]) -> None:
    made = Restoration(tools, photograph="small.png")
    encoded = (made.graph.add("VAEEncode", pixels=made.image, vae=made.vae), 0)
    mask = (made.graph.add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    masked = made.graph.add("SetLatentNoiseMask", samples=encoded, mask=mask)
    made.graph.prompt[made.invert]["inputs"]["latent"] = [masked, 0]
    saved = made.graph.add("DMAPSavePath", path=(made.invert, 0), filename_prefix="noise_mask")
    name = "output/" + server.run(made.graph.prompt)[saved]["text"][0].removeprefix("saved as ")
    del made.graph.prompt[saved]
    load = made.graph.add("DMAPLoadPath", file=name, model=made.model, positive=made.positive)
    kept = made.compare(made.decode(made.optimise(path=(load, 0))), made.image, mask)
    outputs = server.run(made.graph.prompt)
    assert read(outputs, kept)["outside"]["max"] == 0
    assert read(outputs, kept)["inside"]["max"] > 1e-3


@pytest.mark.parametrize("kind", ["right", "VAE", "image", "encoded by another"])
def test_what_does_not_belong_together_is_told(server: Server, tools: dict[str, Any], kind: str) -> None:
    """Detail would hide it: the start of the ascent is the photograph even with another model's VAE."""
    made = Restoration(tools, photograph="small.png")
    other = (made.graph.add("DMAPTestOtherVAE", vae=made.vae), 0)
    wrong = (made.graph.add("ImageInvert", image=made.image), 0)
    if kind == "encoded by another":
        (encode,) = workflow.nodes_of(made.graph.prompt, "DMAPEncode")
        made.graph.prompt[encode]["inputs"]["vae"] = list(other)
    vae = other if kind == "VAE" else made.vae
    best = made.optimise(detail="1", vae=vae, image=wrong if kind == "image" else made.image)
    decoded = made.graph.add(
        "DMAPDecode", path=(best, 0), vae=vae, detail=0.5, photograph=wrong if kind == "image" else made.image
    )
    straight = made.graph.add("DMAPDecode", path=(made.invert, 0), vae=vae)
    for node in (decoded, straight):
        made.graph.add("PreviewImage", images=(node, 0))
    outputs = server.run(made.graph.prompt)
    said = {node: (outputs.get(node) or {}).get("text", [""])[0] for node in (best, decoded, straight)}
    words = {
        "right": (None, None, None),
        "VAE": ("what the VAE gives back",) * 3,
        "image": ("image is another picture", "what the VAE gives back", None),
        "encoded by another": ("what the VAE gives back",) * 3,
    }
    for text, word in zip(said.values(), words[kind], strict=True):
        assert ("warning: " in text) == (word is not None), said
        assert word is None or word in text


@pytest.mark.parametrize("kind", ["to 255", "from -1", "infinite", "nan"])
def test_values_of_another_range_are_refused(server: Server, tools: dict[str, Any], kind: str) -> None:
    made = Restoration(tools, kind)
    made.graph.add("PreviewImage", images=made.decode(made.optimise()))
    text = tools["failure"](server, made.graph.prompt)
    assert all(word in text for word in ("DMAP Encode Photo", "'image'", "values")), text


def test_bytes_are_read_as_a_picture(server: Server, tools: dict[str, Any]) -> None:
    made = Restoration(tools)
    with_bytes = Restoration(tools, "bytes", graph=made.graph)
    same = made.compare(with_bytes.decode(with_bytes.optimise()), made.decode(made.optimise()))
    assert read(server.run(made.graph.prompt), same)["inside"]["max"] == 0


def hooked(server: Server, graph: Any, parts: dict[str, Any], strengths: tuple[float, ...]) -> tuple[str, int]:
    """The empty text with a LoRA whose strength changes along the schedule."""
    generator = torch.Generator().manual_seed(0)
    lora = {
        "lora_unet_time_embed_0.lora_up.weight": torch.randn(128, 4, generator=generator),
        "lora_unet_time_embed_0.lora_down.weight": torch.randn(4, 32, generator=generator),
    }
    save_file(lora, server.base / "models" / "loras" / "tiny.safetensors")
    hook = graph.add("CreateHookLora", lora_name="tiny.safetensors", strength_model=1.0, strength_clip=0.0)
    frames = None
    for strength, start in zip(strengths, (0.0, 0.7, 0.8, 0.9), strict=False):
        more = {} if frames is None else {"prev_hook_kf": (frames, 0)}
        frames = graph.add("CreateHookKeyframe", strength_mult=strength, start_percent=start, **more)
    keyed = graph.add("SetHookKeyframes", hooks=(hook, 0), hook_kf=(frames, 0))
    made = graph.add(
        "ConditioningSetProperties", cond_NEW=parts["positive"], strength=1.0, set_cond_area="default", hooks=(keyed, 0)
    )
    return made, 0


def ranged(graph: Any, parts: dict[str, Any], *ranges: tuple[float, float]) -> tuple[str, int]:
    """Another text for each part of the schedule."""
    whole = None
    for number, (start, end) in enumerate(ranges):
        text = graph.add("CLIPTextEncode", text="old photograph " * number, clip=(parts["model"][0], 1))
        part = graph.add("ConditioningSetTimestepRange", conditioning=(text, 0), start=start, end=end)
        if whole is not None:
            part = graph.add("ConditioningCombine", conditioning_1=(whole, 0), conditioning_2=(part, 0))
        whole = part
    assert whole is not None
    return whole, 0


@pytest.mark.parametrize("kind", ["keyframes", "ranges"])
@pytest.mark.parametrize("solver", ["residual_ddim", "edict"])
def test_conditioning_that_changes_along_the_schedule(
    server: Server, tools: dict[str, Any], kind: str, solver: str
) -> None:
    """Inversion walks up, decoding down, an ascent to and fro: each asks for what holds at its level."""
    graph = tools["Graph"]()
    parts = tiny(graph)
    changing = [
        hooked(server, graph, parts, (1.0, -1.0, 0.5, 0.0)),
        hooked(server, graph, parts, (0.3, 1.0)),
    ]
    if kind == "ranges":
        changing = [ranged(graph, parts, (0.0, 0.75), (0.75, 1.0)), ranged(graph, parts, (0.0, 0.9), (0.9, 1.0))]
    made = Restoration.__new__(Restoration)
    made.graph, made.vae = graph, parts["vae"]
    prior = (graph.add("DMAPLoadPrior", name="dmap_quality"), 0)
    inverts, compared, climbed = [], [], []
    for positive in changing:
        invert = graph.add(
            "DMAPInvert", model=parts["model"], latent=parts["latent"], positive=positive, solver=solver, steps=8,
            strength=0.4, max_error=1e-3,
        )  # fmt: skip
        made.image, made.prior, made.invert = parts["image"], prior, invert
        decoded = graph.add("VAEDecode", samples=parts["latent"], vae=parts["vae"])
        compared.append(made.compare(made.decode(invert), (decoded, 0)))
        climbed.append(made.optimise(iterations=2))
        graph.add("PreviewImage", images=made.decode(climbed[-1]))
        inverts.append(invert)
    outputs = server.run(graph.prompt)
    for invert, node in zip(inverts, compared, strict=True):
        assert float(outputs[invert]["text"][0].split()[2]) < 1e-3
        assert read(outputs, node)["inside"]["max"] < 2e-3
    ends = [trace(outputs, node)["rows"][-1]["objective"][0] for node in climbed]
    assert ends[0] != ends[1]  # it does change what is done


def test_a_gap_in_the_schedule_is_named(server: Server, tools: dict[str, Any]) -> None:
    graph = tools["Graph"]()
    parts = tiny(graph)
    positive = ranged(graph, parts, (0.0, 0.7), (0.8, 1.0))
    invert = graph.add(
        "DMAPInvert", model=parts["model"], latent=parts["latent"], positive=positive, solver="residual_ddim", steps=8,
        strength=0.4, max_error=1e-3,
    )  # fmt: skip
    graph.add("PreviewImage", images=(graph.add("DMAPDecode", path=(invert, 0), vae=parts["vae"]), 0))
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("DMAP Invert", "'positive'", "no conditioning is active", "ranges")), text


PARTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "area": (
        "ConditioningSetArea",
        {"width": 64, "height": 128, "x": 0, "y": 0, "strength": 1.0},
        "50% of the picture",
    ),
    "outside": ("ConditioningSetArea", {"width": 64, "height": 64, "x": 512, "y": 0, "strength": 1.0}, "lies outside"),
    "nothing": ("ConditioningSetAreaStrength", {"strength": 0.0}, "100% of the picture"),
    "mask": ("ConditioningSetMask", {"strength": 1.0, "set_cond_area": "mask bounds"}, "of the picture"),
}


@pytest.mark.parametrize("kind", PARTS)
def test_parts_without_conditioning_are_refused(server: Server, tools: dict[str, Any], kind: str) -> None:
    """The host takes 0 for what the model says there, grey, and the inversion is exact all the same."""
    node, values, words = PARTS[kind]
    made = Restoration(tools, models="sd", photograph="small.png")
    if kind == "mask":
        values = {**values, "mask": (made.graph.add("DMAPTestHalves", image=made.image, fill=1.0), 0)}
    part = made.graph.add(node, conditioning=made.positive, **values)
    made.graph.prompt[made.invert]["inputs"]["positive"] = [part, 0]
    shown = made.graph.add("PreviewImage", images=made.decode(made.invert))
    text = tools["failure"](server, made.graph.prompt)
    assert all(word in text for word in ("DMAP Invert", "'positive'", words)), text
    if kind != "outside":
        whole = made.graph.add("ConditioningCombine", conditioning_1=(part, 0), conditioning_2=made.positive)
        made.graph.prompt[made.invert]["inputs"]["positive"] = [whole, 0]
        assert shown in server.run(made.graph.prompt)


def test_a_patch_that_answers_otherwise_each_time_is_named(server: Server, tools: dict[str, Any]) -> None:
    made = Restoration(tools, models="sd", photograph="small.png", invert={"steps": 3, "strength": 0.4})
    cached = {"reuse_threshold": 0.2, "start_percent": 0.15, "end_percent": 0.95, "verbose": False}
    patched = made.graph.add("EasyCache", model=made.model, **cached)
    made.graph.prompt[made.invert]["inputs"]["model"] = [patched, 0]
    made.graph.add("PreviewImage", images=made.decode(made.invert))
    text = tools["failure"](server, made.graph.prompt)
    assert all(word in text for word in ("DMAP Invert", "max_error", "nodes_easycache")), text


def test_an_empty_latent_and_a_patch_of_the_guidance_are_named(server: Server, tools: dict[str, Any]) -> None:
    for kind, words in (
        ("empty", ["'latent': it is empty", "Encode"]),
        ("guidance", ["'model'", "nodes_sag.Self"]),
    ):
        graph = tools["Graph"]()
        parts = tiny(graph)
        if kind == "empty":
            parts["latent"] = (graph.add("EmptyLatentImage", width=128, height=128, batch_size=1), 0)
        else:
            parts["model"] = (
                graph.add("SelfAttentionGuidance", model=parts["model"], scale=0.5, blur_sigma=2.0), 0,
            )  # fmt: skip
        invert = graph.add(
            "DMAPInvert", model=parts["model"], latent=parts["latent"], positive=parts["positive"],
            solver="residual_ddim", steps=2, strength=0.4, max_error=0.05,
        )  # fmt: skip
        graph.add("PreviewImage", images=(graph.add("DMAPDecode", path=(invert, 0), vae=parts["vae"]), 0))
        text = tools["failure"](server, graph.prompt)
        assert all(word in text for word in ["DMAP Invert", *words]), text
