"""Masks, strength, degradations, regions, safeguards and presets, in a real host on small models."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dmap.settings import PRESETS
from hostgraphs import Restoration, read, trace
from tools.host import workflow
from tools.host.server import HostError, Server

both_models = pytest.mark.parametrize("models", ["demo", "sd"])


@both_models
def test_a_strength_that_holds(server: Server, tools: dict[str, Any], models: str) -> None:
    """0 is the autoencoder's round trip, 1 the method, monotone between; with all lost detail 0 is the photograph."""
    made = Restoration(tools, models=models)
    best = made.optimise()
    encoded = made.graph.add("VAEDecode", samples=made.latent, vae=made.vae)
    whole = made.graph.add("ImageCrop", image=(encoded, 0), width=75, height=69, x=0, y=0)
    start = made.decode(best, strength=0.0, colour="off")
    steps = [made.decode(best, strength=s, colour="off") for s in (0.25, 0.5, 0.75, 1.0)]
    from_start = [made.compare(step, start) for step in steps]
    trip = made.compare(start, (whole, 0))
    exact = made.compare(made.decode(best, strength=0.0, detail=1.0), made.image)
    coloured = made.compare(made.decode(best), made.decode(best, colour="wavelet"))
    outputs = server.run(made.graph.prompt)
    assert read(outputs, trip)["shape"] == [1, 69, 75, 3]
    assert read(outputs, trip)["inside"]["max"] < 1e-4
    changes = [read(outputs, node)["inside"]["mean"] for node in from_start]
    assert changes == sorted(changes)
    assert changes[0] > 1e-5
    assert changes[3] > 2 * changes[0]
    assert read(outputs, exact)["inside"]["max"] < 1e-5
    assert 0 < read(outputs, coloured)["inside"]["max"] < (0.05 if models == "demo" else 1)


@both_models
def test_the_share_of_detail_that_the_ascent_took_comes_back(
    server: Server, tools: dict[str, Any], models: str
) -> None:
    """With all of it the start is the photograph; Decode's own detail is of the rest; the default says what it took."""
    made = Restoration(tools, models=models)
    paths = {share: made.optimise(detail=share) for share in ("0", "0.5", "1", "auto")}
    del made.graph.prompt[paths["auto"]]["inputs"]["detail"]  # as in a workflow that was saved before there was any
    exact = made.compare(made.decode(paths["1"], strength=0.0, colour="off"), made.image)
    rest = made.compare(made.decode(paths["0.5"], strength=0.0, colour="off", detail=1.0), made.image)
    half = made.compare(made.decode(paths["0.5"], strength=0.0, colour="off"), made.image)
    none = made.compare(made.decode(paths["0"], strength=0.0, colour="off"), made.image)
    made.graph.add("PreviewImage", images=made.decode(paths["auto"]))
    outputs = server.run(made.graph.prompt)
    assert read(outputs, exact)["inside"]["max"] < 1e-5
    assert read(outputs, rest)["inside"]["max"] < 1e-5
    assert 1e-3 < read(outputs, half)["inside"]["mean"] < 0.7 * read(outputs, none)["inside"]["mean"]
    assert trace(outputs, paths["1"])["rows"][0]["fidelity"][0] < 1e-4
    assert re.search(r", detail 0\.[0-7]\d, ", outputs[paths["auto"]]["text"][0])


@pytest.mark.parametrize(("latent", "models"), [("whole", "demo"), ("cropped", "demo"), ("whole", "sd")])
def test_outside_a_mask_nothing_changes_by_a_bit(
    server: Server, tools: dict[str, Any], latent: str, models: str
) -> None:
    """Values between 8-bit levels and out of range, and alpha: kept, for DMAP Encode Photo and for VAE Encode."""
    made = Restoration(tools, "float", models=models)
    photograph = made.image
    if latent == "cropped":
        encoded = made.graph.add("VAEEncode", pixels=made.image, vae=made.vae)
        made.graph.prompt[made.invert]["inputs"]["latent"] = [encoded, 0]
        photograph = (made.graph.add("ImageCrop", image=made.image, width=72, height=68, x=1, y=0), 0)
    mask = (made.graph.add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    half = (made.graph.add("DMAPTestHalves", image=photograph, fill=1.0), 0)
    result = made.decode(made.optimise(mask=mask, feather=4))
    compared = made.compare(result, photograph, half)
    found = read(server.run(made.graph.prompt), compared)
    assert found["shape"] == ([1, 69, 75, 4] if latent == "whole" else [1, 68, 72, 4])
    assert found["outside"]["max"] == 0.0
    assert found["inside"]["max"] > 1e-3


def test_degradations_are_undone(server: Server, tools: dict[str, Any]) -> None:
    """All of them in a chain; the fidelity then speaks of the degraded image."""
    made = Restoration(tools)
    add = made.graph.add
    mask = (add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    chain = add("DMAPDegradationBlur", sigma=0.8)
    chain = add("DMAPDegradationMotion", length=3.0, angle=20.0, before=(chain, 0))
    chain = add("DMAPDegradationJPEG", quality=60, before=(chain, 0))
    chain = add("DMAPDegradationInpaint", mask=mask, before=(chain, 0))
    known, blind = made.optimise(degradation=(chain, 0), feather=0), made.optimise()
    for node in (known, blind):
        add("PreviewImage", images=made.decode(node))
    outputs = server.run(made.graph.prompt)
    rows = [trace(outputs, node)["rows"] for node in (known, blind)]
    assert rows[0][0]["prior"] == rows[1][0]["prior"]
    assert rows[0][0]["fidelity"] != rows[1][0]["fidelity"]
    assert len(rows[0]) == 2


@pytest.mark.parametrize("named", [False, True])
def test_scratches_are_gone(server: Server, tools: dict[str, Any], named: bool) -> None:
    """Filled before encoding, and nothing pulls them back; whether or not a degradation names them again."""
    made = Restoration(tools, photograph="scratched.png")
    (loader,) = workflow.nodes_of(made.graph.prompt, "LoadImage")
    made.graph.prompt[made.latent[0]]["inputs"]["holes"] = [loader, 1]
    more = {}
    if named:
        more["degradation"] = (made.graph.add("DMAPDegradationInpaint", mask=(loader, 1)), 0)
    best = made.optimise(iterations=2, fidelity_weight=400.0, **more)
    holes, rest = made.compare(made.decode(best), made.image, (loader, 1)), made.decode(made.invert, detail=1.0)
    kept = made.compare(rest, made.image, (loader, 1))
    outputs = server.run(made.graph.prompt)
    assert read(outputs, holes)["inside"]["mean"] > 0.2
    assert read(outputs, holes)["outside"]["mean"] < 0.05
    assert read(outputs, kept)["inside"]["mean"] > 0.2  # what lies in a scratch is no detail
    assert trace(outputs, best)["rows"][0]["fidelity"][0] < 0.2


def test_super_resolution(server: Server, tools: dict[str, Any]) -> None:
    made = Restoration(tools)
    add = made.graph.add
    large = add("ImageScaleBy", image=made.image, upscale_method="bicubic", scale_by=2.0)
    latent = add("DMAPEncode", image=(large, 0), vae=made.vae, tile=0)
    made.graph.prompt[made.invert]["inputs"]["latent"] = [latent, 0]
    down = add("DMAPDegradationDownscale", factor=2.0)
    best = made.optimise(degradation=(down, 0))
    shape = made.compare(made.decode(best), (large, 0))
    outputs = server.run(made.graph.prompt)
    assert read(outputs, shape)["shape"] == [1, 138, 150, 3]
    made.graph.prompt[best]["inputs"]["image"] = [large, 0]
    text = tools["failure"](server, made.graph.prompt)
    assert all(word in text for word in ("DMAP Optimize", "'image'", "150x138", "75x69", "not its enlargement")), text


def test_the_prior_counts_by_region(server: Server, tools: dict[str, Any]) -> None:
    """J is the sum of the regions' scores by their weights: it is linear in a weight, and the picture changes by it."""
    made = Restoration(tools)
    add = made.graph.add
    mask = (add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    best = []
    for weight in (0.0, 1.0, 3.0):
        region = (add("DMAPRegion", mask=mask, prior_weight=weight), 0)
        best.append(made.optimise(regions=region, fidelity_weight=0.0, rule="momentum", step_size=2.0))
    changed = made.compare(made.decode(best[2]), made.decode(best[0]))
    made.graph.add("PreviewImage", images=made.decode(best[1]))
    outputs = server.run(made.graph.prompt)
    off, once, thrice = (trace(outputs, node)["rows"][0]["objective"][0] for node in best)
    assert once - off > 1
    assert thrice - off == pytest.approx(3 * (once - off), rel=1e-4)
    assert read(outputs, changed)["inside"]["max"] > 1e-3


def test_prior_and_judge_that_part_ways(server: Server, tools: dict[str, Any]) -> None:
    """The judge stops the ascent and the node says why; where its taste decides, the start is kept."""
    made = Restoration(tools)
    judge = (made.graph.add("DMAPTestOpposite", prior=made.prior), 0)
    best = {}
    for keep in ("objective", "judge"):
        safe = made.graph.add(
            "DMAPSafeguards", judge=judge, patience=1, tolerance=0.0, keep=keep, latent_norm_weight=0.0,
            whiteness_weight=0.0,
        )  # fmt: skip
        best[keep] = made.optimise(safeguards=(safe, 0), iterations=9, step_size=0.1, fidelity_weight=1.0)
    decoded = {keep: made.decode(node, colour="off") for keep, node in best.items()}
    start = made.compare(decoded["judge"], made.decode(made.invert, colour="off"))
    made.graph.add("PreviewImage", images=decoded["objective"])
    outputs = server.run(made.graph.prompt)
    for node in best.values():
        assert trace(outputs, node)["stopped"] == ["judge"]
        assert len(trace(outputs, node)["rows"]) < 10
    assert "prior and judge part ways" in outputs[best["objective"]]["text"][0]
    assert read(outputs, start)["inside"]["max"] < 1e-6


def test_regions_and_safeguards(server: Server, tools: dict[str, Any]) -> None:
    """A judge that is never pleased ends the ascent; a region of weight 0 leaves the prior no say there."""
    made = Restoration(tools)
    add = made.graph.add
    mask = (add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    strong = add("DMAPRegion", mask=mask, prior_weight=3.0, prior=made.prior)
    both = add("DMAPRegion", mask=mask, prior_weight=0.5, regions=(strong, 0))
    safe = add(
        "DMAPSafeguards", judge=(add("DMAPMixPriors", mode="mean", prior_1=made.prior, prior_2=made.prior, weight_1=1.0,
        weight_2=1.0, weight_3=1.0, weight_4=1.0), 0), patience=1, tolerance=0.0, keep="judge",
        latent_norm_weight=5.0, whiteness_weight=5.0,
    )  # fmt: skip
    best = made.optimise(regions=(both, 0), safeguards=(safe, 0), iterations=2)
    add("PreviewImage", images=made.decode(best))
    outputs = server.run(made.graph.prompt)
    found = trace(outputs, best)
    assert all(len(row["judge"]) == 1 for row in found["rows"])
    scores = [row["judge"][0] for row in found["rows"]]
    assert found["best_iteration"][0] == scores.index(max(scores))
    assert "judge" in outputs[best]["text"][0]


def test_a_preset_counts_without_a_browser(server: Server, tools: dict[str, Any]) -> None:
    """Its values are used for all that is not sent; a target of 0 would have stopped at once."""
    # The preset's shift needs some room.
    made = Restoration(tools, invert={"steps": 2, "preset": "after another restorer"}, photograph="tiny.png")
    best = made.optimise(preset="after another restorer")
    preset = PRESETS["after another restorer"].values("ascend")
    for name in preset:
        made.graph.prompt[best]["inputs"].pop(name, None)
    made.graph.add("PreviewImage", images=made.decode(best))
    found = trace(server.run(made.graph.prompt), best)
    assert found["settings"] == {key: preset[key] for key in ("iterations", "rule", "step_size", "target_score")}
    made.graph.prompt[best]["inputs"]["preset"] = "no such preset"
    with pytest.raises(HostError, match="preset"):
        server.run(made.graph.prompt)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda made: made.optimise(mask=(made.graph.add("SolidMask", value=0.0, width=75, height=69), 0)), ["empty"]),
        (lambda made: _detail_without_photograph(made), ["DMAP Decode", "detail", "'photograph'"]),
        (lambda made: made.optimise(safeguards=(_keep_without_judge(made), 0)), ["DMAP Safeguards", "judge"]),
        (lambda made: _bad_tiles(made), ["DMAP Tiles", "overlap"]),
    ],
)
def test_wrong_use_is_named(server: Server, tools: dict[str, Any], build: Any, words: list[str]) -> None:
    made = Restoration(tools)
    made.graph.add("PreviewImage", images=made.decode(build(made)))
    text = tools["failure"](server, made.graph.prompt)
    assert all(word in text for word in words), text


def _detail_without_photograph(made: Restoration) -> str:
    encoded = made.graph.add("VAEEncode", pixels=made.image, vae=made.vae)
    made.graph.prompt[made.invert]["inputs"]["latent"] = [encoded, 0]
    made.graph.add("PreviewImage", images=made.decode(made.invert, detail=0.5))
    return made.invert


def _keep_without_judge(made: Restoration) -> str:
    key: str = made.graph.add(
        "DMAPSafeguards", patience=1, tolerance=0.0, keep="judge", latent_norm_weight=0.0, whiteness_weight=0.0
    )
    return key


def _bad_tiles(made: Restoration) -> str:
    tiles = made.graph.add("DMAPTiles", tile=128, overlap=96)
    made.graph.prompt[made.invert]["inputs"]["tiles"] = [tiles, 0]
    return made.invert


def test_lost_detail_only_where_it_is_wanted(server: Server, tools: dict[str, Any]) -> None:
    made = Restoration(tools)
    mask = (made.graph.add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    start = made.decode(made.invert, colour="off")
    partly = made.decode(made.invert, colour="off", detail=1.0, detail_mask=mask)
    added, exact = made.compare(partly, start, mask), made.compare(partly, made.image)
    outputs = server.run(made.graph.prompt)
    assert read(outputs, added)["outside"]["max"] == 0
    assert read(outputs, added)["inside"]["max"] > 0.01
    assert read(outputs, exact)["inside"]["max"] > 0.01
