"""Means, spreads, paired differences with intervals over photographs; CSV and Markdown."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from dmap.compare.inference import interval as by_photograph

from .cells import kind_of
from .judges import MEASURES

Row = dict[str, str | float]


def write_csv(rows: Sequence[Row], file: Path) -> None:
    """With the union of the rows' columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with open(file, "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, columns)
        writer.writeheader()
        writer.writerows(rows)


def interval(differences: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """95 % interval of the mean over photographs, each the mean of its cells, which are not independent.

    NaN with fewer photographs than an interval can be made of.
    """
    means = np.array([sum(values) / len(values) for values in differences.values()])
    return by_photograph(means) or (math.nan, math.nan)


def _measures(rows: Iterable[Row]) -> list[str]:
    """The measures that every row has a number for."""
    rows = list(rows)
    return [name for name in MEASURES if all(name in row for row in rows)]


def pairs(rows: Sequence[Row], method: str, other: str, measure: str) -> dict[str, list[float]]:
    """Differences of a measure between two methods on the same cells, by photograph."""

    def values(name: str) -> dict[tuple[str, str], float]:
        return {
            (str(row["photo"]), str(row["degradation"])): float(row[measure]) for row in rows if row["method"] == name
        }

    mine, theirs = values(method), values(other)
    found: dict[str, list[float]] = {}
    for cell in mine:
        if cell in theirs:
            found.setdefault(cell[0], []).append(mine[cell] - theirs[cell])
    return found


def _mean(differences: Mapping[str, Sequence[float]]) -> float:
    """Over photographs."""
    return sum(sum(values) / len(values) for values in differences.values()) / len(differences)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}"


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in body)]) + "\n"


def means(rows: Sequence[Row]) -> str:
    """Markdown: mean and standard deviation over all cells, one line a method."""
    measures = _measures(rows)
    body = []
    for method in dict.fromkeys(str(row["method"]) for row in rows):
        values = torch.tensor([[float(row[name]) for name in measures] for row in rows if row["method"] == method])
        spread = values.std(dim=0) if len(values) > 1 else torch.zeros(len(measures))
        cells = [
            f"{mean:.{MEASURES[name][0]}f} ± {deviation:.{MEASURES[name][0]}f}"
            for name, mean, deviation in zip(measures, values.mean(dim=0).tolist(), spread.tolist(), strict=True)
        ]
        body.append([method, *cells])
    return table(["method", *measures], body)


def differences(rows: Sequence[Row], other: str) -> str:
    """Markdown: mean difference of each method to ``other`` with 95 % intervals over images, by kind (both strengths
    together) and for all.

    An interval that leaves out 0 on the better side is marked with +, on the worse side with -.
    """
    measures = _measures(rows)
    groups = dict.fromkeys(kind_of(str(row["degradation"])) for row in rows)
    body = []
    for group in [*groups, "all"]:
        here = [row for row in rows if group in ("all", kind_of(str(row["degradation"])))]
        for method in dict.fromkeys(str(row["method"]) for row in here):
            if method == other:
                continue
            cells = []
            for name in measures:
                change = pairs(here, method, other, name)
                low, high = interval(change)
                digits, sign = MEASURES[name]
                mark = (
                    " **+**"
                    if min(low * sign, high * sign) > 0
                    else " **-**"
                    if max(low * sign, high * sign) < 0
                    else ""
                )
                cells.append(
                    f"{_signed(_mean(change), digits)} ({_signed(low, digits)} to {_signed(high, digits)}){mark}"
                )
            body.append([group, method, *cells])
    return table(["degradation", "method", *measures], body)


def at_equal_score(rows: Sequence[Row], first: str, second: str, weight: float | None = None) -> str:
    """Markdown: the curves' measures of two methods at the same prior score, first minus second.

    Each method's points over the prior weights are joined by straight lines in the prior score; they are compared at
    the highest score that both reach, cell by cell, or at the one that the first method reaches with a prior weight of
    ``weight``. Cells where a method's curve does not pass that score are left out and counted.
    """
    measures = [name for name in _measures(rows) if name != "prior"]
    cells = list(dict.fromkeys((str(row["photo"]), str(row["degradation"])) for row in rows))
    found: dict[str, dict[str, list[float]]] = {name: {} for name in measures}
    left_out = 0
    for cell in cells:
        curves = {
            method: sorted(
                (row for row in rows if (row["photo"], row["degradation"]) == cell and row["method"] == method),
                key=lambda row: float(row["prior"]),
            )
            for method in (first, second)
        }
        low = max(float(curve[0]["prior"]) for curve in curves.values())
        high = min(float(curve[-1]["prior"]) for curve in curves.values())
        score = high
        if weight is not None:
            score = next(float(row["prior"]) for row in curves[first] if row["weight"] == weight)
        if not low <= score <= high:
            left_out += 1
            continue
        for name in measures:
            change = _at(curves[first], score, name) - _at(curves[second], score, name)
            found[name].setdefault(cell[0], []).append(change)
    if left_out == len(cells):
        return f"{first} against {second}: no cell where both reach the same prior score.\n"
    body = []
    for name in measures:
        low, high = interval(found[name])
        digits, sign = MEASURES[name]
        changes = [value for values in found[name].values() for value in values]
        better = sum(value * sign > 0 for value in changes)
        body.append(
            [
                name,
                f"{_signed(_mean(found[name]), digits)} ({_signed(low, digits)} to {_signed(high, digits)})",
                f"{better} of {len(changes)}",
            ]
        )
    note = f"({left_out} cells left out: no common score)\n" if left_out else ""
    return table([f"{first} minus {second}", "mean difference", "cells where better"], body) + note


def _at(curve: Sequence[Row], score: float, measure: str) -> float:
    """A measure at a prior score, linear between a curve's points."""
    for left, right in itertools.pairwise(curve):
        low, high = float(left["prior"]), float(right["prior"])
        if low <= score <= high:
            share = (score - low) / (high - low) if high > low else 0.0
            return float(left[measure]) + share * (float(right[measure]) - float(left[measure]))
    return float(curve[-1 if math.isclose(score, float(curve[-1]["prior"])) else 0][measure])
