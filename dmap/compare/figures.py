"""The figures of a comparison for a paper, each as SVG and as PDF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..output import replacing, write_text
from .charts import curves, heat, intervals, scatter
from .drawing import Drawing
from .folder import Folder
from .pareto import curves as over_levels
from .pareto import in_words
from .results import Array, Results
from .statistics import contrasts, cross_scores, standing

FOLDER = "figures"


def drawings(results: Results, extra: Mapping[str, Any]) -> dict[str, Drawing]:
    """The figures that the results have the numbers for, by their files' names."""
    chosen = results.select()
    if not len(chosen):
        return {}
    names, stand = results.names, standing(results, chosen)
    framed = results.related
    found = {
        "cross_scores": heat(
            "Gain over the start, points; rows: optimised by, columns: judged by", names, results.judges,
            *cross_scores(results, chosen, gain=True), framed,
        ),
        "own_and_others": scatter(
            "Own gain against the gain by common judges", ("own gain, points", "gain by common judges, points"), names,
            stand.own[0], stand.others[0], (stand.own[1], stand.others[1]),
        ),
        "attack": intervals(
            "Strength of the attack, with standard errors", "unconfirmed points for each 0.01 of distance", names,
            stand.cost[0], stand.cost[0] - stand.cost[1], stand.cost[0] + stand.cost[1],
        ),
    }  # fmt: skip
    against = contrasts(results, chosen, start=True)
    if against:
        found["gain_over_start"] = intervals(
            "Gain over the start, 95 % intervals over photographs", "standard deviations of the judges",
            [names[one.first] for one in against], _array(one.deviations for one in against),
            _array(one.low for one in against), _array(one.high for one in against),
        )  # fmt: skip
    if len(results.plan.levels) > 1:
        line = over_levels(results)
        label = in_words(results)
        found["pareto"] = curves(
            "Gain over the distance, with standard errors", (f"distance D ({results.plan.fidelity})", label), names,
            line.distance, line.gain, line.error,
        )  # fmt: skip
    ranking = extra.get("ranking")
    if ranking:
        overall = ranking["overall"]
        found["votes"] = intervals(
            "People's preference, 95 % intervals", "Bradley-Terry strength, log odds", overall["models"],
            _array(overall["strengths"]), _array(overall["low"]), _array(overall["high"]),
        )  # fmt: skip
    return found


def _array(values: Any) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def write(results: Results, folder: Folder, extra: Mapping[str, Any]) -> list[Path]:
    """Write the figures into the comparison's folder; returns their files."""
    return [
        file
        for name, drawing in drawings(results, extra).items()
        for file in write_drawing(drawing, folder.path / FOLDER / name)
    ]


def write_drawing(drawing: Drawing, place: Path) -> list[Path]:
    """Write a drawing as ``place.svg`` and ``place.pdf``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    svg, pdf = place.with_name(f"{place.name}.svg"), place.with_name(f"{place.name}.pdf")
    write_text(svg, drawing.svg())
    with replacing(pdf) as new:
        new.write_bytes(drawing.pdf())
    return [svg, pdf]
