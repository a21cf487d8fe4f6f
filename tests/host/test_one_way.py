"""The nodes, the command and the library are the same calls: the same photograph comes out, to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import dmap
from dmap.cli import main
from dmap.restoration import DEFAULT_PRIOR
from dmap.settings import describe
from hostgraphs import pixels
from tools.host.server import Server

SETTINGS: dict[str, Any] = {"steps": 2, "strength": 0.3, "iterations": 2, "fidelity_weight": 20.0, "seed": 7}


def widgets(stage: str) -> dict[str, Any]:
    """The settings of a stage by the names of the node's widgets."""
    settings = dmap.Settings(**SETTINGS).of(stage)
    facts = describe()
    return {facts[name].widget or name: value for name, value in settings.items() if name not in ("tile", "overlap")}


def test_nodes_command_and_library_give_the_same_picture(server: Server, tools: dict[str, Any], tmp_path: Path) -> None:
    """133 x 131 px, no multiples of the latent grid."""
    graph, photo = tools["Graph"](), server.base / "input" / "odd.png"
    loaded, demo = graph.add("LoadImage", image="odd.png"), graph.add("DMAPLoadDemoModels")
    image = graph.add("DMAPCleanPhoto", image=(loaded, 0))
    latent = graph.add("DMAPEncode", image=(image, 0), vae=(demo, 2), tile=0)
    path = graph.add("DMAPInvert", model=(demo, 0), positive=(demo, 1), latent=(latent, 0), **widgets("invert"))
    prior = graph.add("DMAPLoadPrior", name=DEFAULT_PRIOR)
    best = graph.add(
        "DMAPOptimize", path=(path, 0), vae=(demo, 2), prior=(prior, 0), image=(image, 0), **widgets("ascend")
    )
    decoded = graph.add("DMAPDecode", path=(best, 0), vae=(demo, 2), **widgets("finish"))
    rounded = graph.add("DMAPTestSpoil", image=(decoded, 0), kind="rounded")
    saved = graph.add("SaveImage", images=(rounded, 0), filename_prefix="one_way")
    (nodes,) = pixels(server, server.run(graph.prompt), saved)

    command, library = tmp_path / "command.png", tmp_path / "library.png"
    options = [word for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["restore", str(photo), str(command), *options]) == 0
    dmap.restore(photo, **SETTINGS).save(library)
    assert command.read_bytes() == library.read_bytes()
    with Image.open(command) as one, Image.open(photo) as before:
        assert nodes.shape == (131, 133, 3)
        assert np.array_equal(nodes, np.array(one))
        assert not np.array_equal(nodes, np.array(before.convert("RGB")))
