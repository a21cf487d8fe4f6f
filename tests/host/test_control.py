"""Control while it runs, in a real host: previews, terms, time left, interrupts, paths that go on another day."""

from __future__ import annotations

import re
import shutil
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hostgraphs import Restoration, read, restore, tiny, trace
from tools.host import workflow
from tools.host.listen import Listener
from tools.host.server import HostError, Server

LINE = re.compile(
    r"iteration (\d+) of 3: objective (-?[\d.]+), quality ([\d.]+), distance ([\d.]+), (\d+ s|\d+ min) left$"
)


@pytest.mark.parametrize("tile", [0, 64])
def test_previews_terms_and_time_left(server: Server, tools: dict[str, Any], tile: int) -> None:
    """Every iteration shows the whole picture as it is, its terms as the trace has them, and how long it will take."""
    made = Restoration(tools)
    if tile:
        made.graph.prompt[made.invert]["inputs"]["tiles"] = [made.graph.add("DMAPTiles", tile=tile, overlap=16), 0]
    best = made.optimise(iterations=3, step_size=0.1, fidelity_weight=1.0)
    made.graph.add("PreviewImage", images=made.decode(best))
    with Listener(server) as heard:
        prompt_id = server.queue(made.graph.prompt, heard.client)
        outputs = server.wait(prompt_id)["outputs"]
        heard.wait(prompt_id)
    rows = trace(outputs, best)["rows"]
    lines = [found.groups() for node, text in heard.texts if node == best and (found := LINE.match(text))]
    assert [int(line[0]) for line in lines] == [0, 1, 2, 3]
    for line, row in zip(lines, rows, strict=True):
        shown = [float(value) for value in line[1:4]]
        assert shown == pytest.approx([row["objective"][0], row["prior"][0], row["fidelity"][0]], abs=0.06)
    assert lines[-1][4] == "0 s"
    assert [found.value for found in heard.progress if found.node == best][-1] == 4
    assert len(heard.previews) >= 4
    with Image.open(server.base / "input" / "prime.png") as file:
        photograph = np.asarray(file.convert("RGB"), dtype=float) / 255
    # The host enlarges small previews.
    pictures = [np.asarray(preview.convert("RGB").resize((75, 69)), dtype=float) / 255 for preview in heard.previews]
    assert all(np.abs(picture - photograph).mean() < 0.1 for picture in pictures)
    assert np.abs(pictures[-5] - pictures[-2]).max() > 0.02  # from the ascent's first to its last


def test_no_previews_where_the_host_wants_none(server: Server, tools: dict[str, Any]) -> None:
    heard = {}
    for method in ("none", "auto"):  # the last one as the other tests want it
        made = Restoration(tools)
        made.image = (made.graph.add("DMAPTestPreviewMethod", image=made.image, method=method), 0)
        best = made.optimise(seed=31)
        made.graph.add("PreviewImage", images=made.decode(best))
        with Listener(server) as listener:
            prompt_id = server.queue(made.graph.prompt, listener.client)
            server.wait(prompt_id)
            listener.wait(prompt_id)
        heard[method] = len(listener.previews)
    assert heard["none"] == 0
    assert heard["auto"] > 0


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
        assert "stopped early; the best image so far is also in output/dmap_best_so_far_" in found["notes"][-1]
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


def saved_as(server: Server, made: Restoration, best: str) -> str:
    """Run up to DMAP Save Path; the file's name as DMAP Load Path takes it."""
    saved = made.graph.add("DMAPSavePath", path=(best, 0), filename_prefix="masked")
    name = "output/" + server.run(made.graph.prompt)[saved]["text"][0].removeprefix("saved as ")
    del made.graph.prompt[saved]
    return name


def test_a_saved_path_keeps_its_photograph_and_masks(server: Server, tools: dict[str, Any]) -> None:
    """Decoded another day it is the same picture: colour, alpha and, outside the mask, every value as it came."""
    made = Restoration(tools, "float")
    mask = (made.graph.add("DMAPTestHalves", image=made.image, fill=1.0), 0)
    hole = made.graph.add("DMAPDegradationInpaint", mask=mask)
    best = made.optimise(mask=mask, degradation=(hole, 0))
    name = saved_as(server, made, best)
    load = made.graph.add("DMAPLoadPath", file=name, model=made.model, positive=made.positive)
    same = made.compare(made.decode(load), made.decode(best))
    kept = made.compare(made.decode(load), made.image, mask)
    outputs = server.run(made.graph.prompt)
    assert float(outputs[load]["text"][0].removeprefix("round-trip error ")) < 1e-4
    assert read(outputs, same)["inside"]["max"] == 0
    assert read(outputs, kept)["outside"]["max"] == 0
    assert read(outputs, kept)["inside"]["max"] > 1e-3


def test_another_model_is_refused_and_another_file_is_read(server: Server, tools: dict[str, Any]) -> None:
    """A model that did not make the path misses its latent; a file written anew under its old name is no old result."""
    graph = tools["Graph"]()
    parts = tiny(graph)
    optimise, decode = restore(graph, parts)
    saved = [graph.add("DMAPSavePath", path=(optimise, 0), filename_prefix=f"paths/{number}") for number in (1, 2)]
    graph.add("PreviewImage", images=(decode, 0))
    graph.prompt[saved[1]]["inputs"]["path"] = graph.prompt[optimise]["inputs"]["path"]
    outputs = server.run(graph.prompt)
    climbed, inverted = (outputs[key]["text"][0].removeprefix("saved as ") for key in saved)
    for key in saved:
        del graph.prompt[key]
    load = graph.add("DMAPLoadPath", file=f"output/paths/{climbed}", model=parts["model"], positive=parts["positive"])
    graph.prompt[optimise]["inputs"]["path"] = [load, 0]
    first = trace(server.run(graph.prompt), optimise)["rows"][0]["objective"]
    shutil.copy(server.base / "output" / "paths" / inverted, server.base / "output" / "paths" / climbed)
    second = trace(server.run(graph.prompt), optimise)["rows"][0]["objective"]
    assert second != first
    assert second == pytest.approx(trace(outputs, optimise)["rows"][0]["objective"], rel=1e-5)
    other = graph.add("DMAPTestTinySD", kind="V_PREDICTION", channels=4)
    graph.prompt[load]["inputs"]["model"] = [other, 0]
    text = tools["failure"](server, graph.prompt)
    assert all(word in text for word in ("DMAP Load Path", "max_error", "connect the model")), text
