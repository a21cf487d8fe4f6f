"""Batches in a real host: each image its own ascent, mask, stop and best, as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest

from hostgraphs import Restoration, read, restore, tiny, trace
from tools.host.server import Server


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


CASES = {"first": ("none", "left"), "second": ("second", "right"), "both": ("pair", "both")}
"""Which image, and its mask's side: two images alone, and the batch of them."""


def restored(server: Server, tools: dict[str, Any], **climb: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All cases in one graph: their traces, and for each image of the batch how far it is from the image alone."""
    graph = tools["Graph"]()
    best, results, found = {}, {}, {}
    for case, (spoil, side) in CASES.items():
        made = Restoration(tools, spoil, graph=graph)
        mask, hole = ((graph.add("DMAPTestHalves", image=made.image, fill=fill, side=side), 0) for fill in (1.0, 0.5))
        known = (graph.add("DMAPDegradationInpaint", mask=hole), 0)
        best[case] = made.optimise(mask=mask, degradation=known, feather=4, **climb)
        results[case] = made.decode(best[case])
        found[case] = made.compare(results[case], made.image, mask)
    same = [
        made.compare(
            (graph.add("ImageFromBatch", image=results["both"], batch_index=index, length=1), 0), results[case]
        )
        for index, case in enumerate(("first", "second"))
    ]
    outputs = server.run(graph.prompt)
    for case in CASES:
        assert read(outputs, found[case])["outside"]["max"] == 0, case
        assert read(outputs, found[case])["inside"]["max"] > 1e-3, case
    return {case: trace(outputs, best[case]) for case in CASES}, [read(outputs, node)["inside"] for node in same]


def test_each_image_has_its_own_mask_stop_and_best(server: Server, tools: dict[str, Any]) -> None:
    """The target is one that only one of the two images reaches; terms, stop, best and picture are those alone."""
    climb = {"iterations": 4, "rule": "momentum", "step_size": 5.0, "fidelity_weight": 1.0}
    free, _ = restored(server, tools, **climb)
    reach = sorted(max(row["prior"][0] for row in free[case]["rows"]) for case in ("first", "second"))
    assert reach[1] > reach[0] + 1
    traces, differences = restored(server, tools, **climb, target_score=sum(reach) / 2)
    both = traces["both"]
    assert sorted(both["stopped"]) == ["iterations", "target"]
    for index, case in enumerate(("first", "second")):
        alone = traces[case]
        assert both["stopped"][index] == alone["stopped"][0]
        assert both["best_iteration"][index] == alone["best_iteration"][0]
        for row, single in zip(both["rows"], alone["rows"], strict=False):
            for term in ("objective", "prior", "fidelity"):
                # Kernels round differently for two images, and every step amplifies that a little.
                assert row[term][index] == pytest.approx(single[term][0], rel=1e-3, abs=1e-3)
        assert differences[index]["max"] < 2e-3
