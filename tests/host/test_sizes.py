"""Any size, any photograph: tiles, portrait and panorama, grey, alpha, turned files, in a real host."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from hostgraphs import Restoration, read, trace
from tools.host.server import Server


def test_tiles_of_stable_diffusion(server: Server, tools: dict[str, Any]) -> None:
    """With a mask as well: exact at the start, and outside the mask not a bit changes."""
    made = Restoration(tools, models="sd")
    made.graph.prompt[made.invert]["inputs"]["tiles"] = [made.graph.add("DMAPTiles", tile=64, overlap=16), 0]
    mask = (made.graph.add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    best = made.optimise(mask=mask, rule="momentum", step_size=2.0)
    compared = made.compare(made.decode(best), made.image, mask)
    outputs = server.run(made.graph.prompt)
    assert float(outputs[made.invert]["text"][0].rsplit(" ", 1)[-1]) < 1e-4
    assert read(outputs, compared)["outside"]["max"] == 0
    assert read(outputs, compared)["inside"]["max"] > 1e-3
    rows = trace(outputs, best)["rows"]
    assert rows[-1]["objective"][0] > rows[0]["objective"][0]


def test_tiles(server: Server, tools: dict[str, Any]) -> None:
    """Inverted, climbed, decoded by tiles: exact at the start, near the whole in the end; tied conditioning refused."""
    made = Restoration(tools)
    tiles = made.graph.add("DMAPTiles", tile=64, overlap=16)
    whole = made.decode(made.optimise(step_size=0.001))
    made.graph.prompt[made.invert]["inputs"]["tiles"] = [tiles, 0]
    start = made.decode(made.invert, colour="off")
    best = made.optimise(step_size=0.001)
    near = made.compare(made.decode(best), made.image)
    trip = made.compare(start, made.image)
    made.graph.add("PreviewImage", images=whole)
    outputs = server.run(made.graph.prompt)
    assert float(outputs[made.invert]["text"][0].rsplit(" ", 1)[-1]) < 1e-4
    assert read(outputs, trip)["inside"]["mean"] < 0.04
    assert read(outputs, near)["inside"]["mean"] < 0.04
    mask = made.graph.add("SolidMask", value=1.0, width=75, height=69)
    tied = made.graph.add(
        "ConditioningSetMask", conditioning=made.positive, mask=(mask, 0), strength=1.0, set_cond_area="default"
    )
    made.graph.prompt[made.invert]["inputs"]["positive"] = [tied, 0]
    text = tools["failure"](server, made.graph.prompt)
    assert all(word in text for word in ("DMAP Invert", "'tiles'", "a mask")), text


@pytest.mark.parametrize("size", [(66, 131), (211, 65)])
def test_portrait_and_panorama(server: Server, tools: dict[str, Any], size: tuple[int, int]) -> None:
    with Image.open(server.base / "input" / "small.png") as image:
        image.resize(size).save(server.base / "input" / "long.png")
    made = Restoration(tools, photograph="long.png")
    shape = made.compare(made.decode(made.optimise(seed=size[0])), made.image)
    found = read(server.run(made.graph.prompt), shape)
    assert found["shape"] == [1, size[1], size[0], 3]
    assert 0 < found["inside"]["mean"] < 0.1


def test_a_photograph_on_its_side_comes_upright(server: Server, tools: dict[str, Any]) -> None:
    """The host turns files by their EXIF mark; the result has the upright size."""
    with Image.open(server.base / "input" / "prime.png") as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.convert("RGB").save(server.base / "input" / "turned.jpg", exif=exif, quality=95)
    made = Restoration(tools, photograph="turned.jpg")
    shape = made.compare(made.decode(made.invert), made.image)
    found = read(server.run(made.graph.prompt), shape)
    assert found["shape"] == [1, 75, 69, 3]
    assert found["inside"]["mean"] < 0.04


@pytest.mark.parametrize(("kind", "channels"), [("grey", 3), ("alpha", 4)])
def test_grey_and_alpha_through_every_node(server: Server, tools: dict[str, Any], kind: str, channels: int) -> None:
    """One channel becomes three equal ones, and nearly stays so; alpha comes back as it was."""
    made = Restoration(tools, kind)
    result = made.decode(made.optimise(), detail=0.5)
    shape = made.compare(result, made.image)
    three = (made.graph.add("DMAPTestSpoil", image=made.image, kind="three"), 0)
    near = made.compare(result, three if kind == "grey" else made.image)
    outputs = server.run(made.graph.prompt)
    assert read(outputs, shape)["shape"] == [1, 69, 75, channels]
    assert read(outputs, near)["inside"]["mean"] < 0.04


def test_a_latent_that_is_a_video_of_one_frame(server: Server, tools: dict[str, Any]) -> None:
    """Young hosts hand pictures on so: the same result to the bit."""
    made = Restoration(tools)
    usual = made.decode(made.optimise())
    frame = made.graph.add("DMAPTestSpoilLatent", latent=made.latent, kind="one_frame")
    again = Restoration(tools, graph=made.graph)
    again.graph.prompt[again.invert]["inputs"]["latent"] = [frame, 0]
    compared = made.compare(usual, again.decode(again.optimise()))
    assert read(server.run(made.graph.prompt), compared)["inside"]["max"] == 0
