"""The report: one self-contained page, and the CSV and JSON behind it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import UserError
from ..output import write_text
from . import failures, figures, gmad, paper, pareto, people, srcc
from .folder import Folder, write_json
from .measures import MEASURES, RESEMBLANCE
from .pages import data_uri, page
from .parts import PARTS
from .results import Array, Chosen, Condition, Results
from .sheet import contact_sheet, matrix, save
from .statistics import (
    Contrast,
    contrasts,
    cross_scores,
    disagreements,
    fooled_by,
    judging,
    mean_and_error,
    standing,
    starts,
)
from .verdict import verdict

PAGE, DATA, CELLS, MATRIX = "report.html", "report.json", "cells.csv", "cross_scores.csv"
SHEET, HEAT = "contact_sheet.png", "cross_scores.png"
SCRIPTS = ("zoom.js", "charts.js", "tables.js", "viewer.js", "people.js", "report.js")
CURVES, ATTACKS = "pareto.csv", "gmad.csv"
SHOWN = ("pairs", "failures", "attacks")
"""Lists of what the page shows with pictures."""
LARGEST_SHEET = 60_000_000
"""Characters of images in the page, about; starts beyond that stay in the folder."""


def write(results: Results, folder: Folder, extra: Mapping[str, Any], title: str) -> Path:
    """Write the page, its data without the images, and the tables into the comparison's folder.

    Args:
        results: of the comparison.
        folder: where its images are, and where the report goes.
        extra: contents of ``parts.PARTS`` by kind, where there are any; ``srcc.read``'s table as "srcc".
        title: of the page.

    Raises:
        UserError: if no output is there yet.
    """
    if not _begun(results):
        raise UserError(f"{folder.path}: the comparison has no finished cell yet; run 'python -m dmap compare' again")
    line, competition = pareto.curves(results), gmad.compete(results)
    data = {
        **_contents(results, line, competition),
        **{kind: extra.get(kind) for kind in PARTS},
        "methods": paper.methods(results, extra),
    }
    ranking = extra.get("ranking")
    data["agreement"] = [_rounded(one) for one in (people.against_scores(results, ranking["pairs"]) if ranking else ())]
    table = extra.get("srcc")
    data["srcc"] = [_rounded(one) for one in (srcc.against(results, table, ranking) if table else ())]
    write_json(folder.path / DATA, {"title": title, **data})
    write_text(folder.path / CURVES, csv_text(list(_curve_rows(results, line))))
    write_text(folder.path / ATTACKS, csv_text(list(_attack_rows(results, competition))))
    write_text(folder.path / CELLS, csv_text(list(_cell_rows(results))))
    write_text(folder.path / MATRIX, csv_text(list(_matrix_rows(data["groups"], results))))
    save(contact_sheet(results, folder), folder.path / SHEET)
    if len(results.select()):
        save(matrix(results), folder.path / HEAT)
    figures.write(results, folder, extra)
    first = [one["condition"] for kind in SHOWN for one in data[kind]]
    data["title"], data["sheet"] = title, sheet(results, folder, first)
    data["unshown"] = len(_begun(results)) - len(data["sheet"])
    for kind in SHOWN:
        data[kind] = _with_places(data[kind], data["sheet"])
    paper.write(results, folder, extra)
    file = folder.path / PAGE
    write_text(file, page("report", title, SCRIPTS, data))
    return file


def contents(results: Results) -> dict[str, Any]:
    """Everything but the images, as JSON holds it; numbers that are not there are null."""
    return _contents(results, pareto.curves(results), gmad.compete(results))


def _contents(results: Results, line: pareto.Curves, competition: gmad.Competition) -> dict[str, Any]:
    unmatched = [
        {
            "photograph": condition.input.photograph, "degradation": condition.input.degradation,
            "level": condition.level, "models": _unmatched(results, condition),
        }
        for condition in results.conditions
        if not condition.matched
    ]  # fmt: skip
    pairs = [
        {
            "condition": one.condition, "first": one.first, "second": one.second, "judge_first": one.judge_first,
            "judge_second": one.judge_second, "deviations": round(one.deviations, 3),
        }
        for one in disagreements(results, results.select())
    ]  # fmt: skip
    index = results.index
    return {
        "models": results.names,
        "judges": results.judges,
        "related": results.related.tolist(),
        "common": [results.judges[index] for index in results.common],
        "scales": results.scales,
        "deviation": _round(results.deviation),
        "cosines": _round(results.cosines),
        "verdict": verdict(results, results.select()),
        "groups": list(_groups(results)),
        "pairs": pairs,
        "failures": [_rounded(one) for one in failures.failures(results)],
        "attacks": [_rounded(one) for one in competition.attacks[: gmad.MOST]],
        "aggressiveness": _round(competition.aggressiveness),
        "resistance": _round(competition.resistance),
        "curves": {**{name: _round(values) for name, values in _curves(line).items()}, "levels": line.levels},
        "unmatched": unmatched,
        "outputs": len(results.conditions),
        "plan": results.plan.to_json(),
        "facts": index["models"],
        "photographs": index["photographs"],
        "skipped": index["skipped"],
        "software": index["software"],
        "engine": index["engine"],
    }


def _unmatched(results: Results, condition: Condition) -> list[dict[str, Any]]:
    return [
        {
            "model": name,
            "distance": None if cell is None else round(cell.distance, 5),
            "target": None if cell is None else round(cell.target, 5),
        }
        for name, cell in zip(results.names, condition.cells, strict=True)
        if cell is None or not cell.matched
    ]


def _groups(results: Results) -> Iterator[dict[str, Any]]:
    """The statistics over all conditions, and for each degradation and level apart."""
    plan = results.plan
    for level in [None, *plan.levels] if len(plan.levels) > 1 else [None]:
        for degradation in [None, *plan.degradations] if len(plan.degradations) > 1 else [None]:
            chosen = results.select(degradation, level)
            stand, who = standing(results, chosen), judging(results)
            yield {
                "degradation": degradation,
                "level": level,
                "conditions": len(chosen),
                "photographs": len(set(results.photographs(chosen))),
                "judging": {"kind": who.kind, "judges": [results.judges[index] for index in who.judges]},
                "verdict": verdict(results, chosen),
                "scores": _pair(cross_scores(results, chosen, gain=False)),
                "gains": _pair(cross_scores(results, chosen, gain=True)),
                "deviations": _pair(cross_scores(results, chosen, gain=True, deviations=True)),
                "excess": _pair(fooled_by(results, chosen)),
                "start": _round(starts(results, chosen)) if len(chosen) else None,
                "own": _pair(stand.own),
                "others": _pair(stand.others),
                "others_deviations": _pair(stand.deviations),
                "fooled": _pair(stand.fooled),
                "cost": _pair(stand.cost),
                "offset": _pair(stand.offset),
                "starts": stand.starts.astype(int).tolist(),
                "contrasts": [_contrast(one) for one in contrasts(results, chosen)],
                "against_start": [_contrast(one) for one in contrasts(results, chosen, start=True)],
                "measures": {
                    name: over_outputs(results, results.measures[name] - results.start_measures[name][:, None], chosen)
                    for name in MEASURES
                    if len(chosen)
                },
                "resemblance": {
                    name: over_outputs(results, results.resemblance[name], chosen)
                    for name in RESEMBLANCE
                    if len(chosen)
                },
            }


def _rounded(one: Any) -> dict[str, Any]:
    """A dataclass as JSON holds it, floats as ``_round`` has them."""
    return {name: _round(np.array(value)) if isinstance(value, float) else value for name, value in asdict(one).items()}


def _curves(line: pareto.Curves) -> dict[str, Array]:
    """By name; the marks of what is not dominated as 0 and 1."""
    return {name: np.asarray(values, dtype=float) for name, values in asdict(line).items()}


def _curve_rows(results: Results, found: pareto.Curves) -> Iterator[dict[str, Any]]:
    for row, name in enumerate(results.names):
        for column, level in enumerate(found.levels):
            yield {
                "model": name, "level": level, "distance": found.distance[row, column],
                "gain deviations": found.gain[row, column], "gain error": found.error[row, column],
                "own gain points": found.own[row, column], "undominated": bool(found.undominated[row, column]),
            }  # fmt: skip


def _attack_rows(results: Results, competition: gmad.Competition) -> Iterator[dict[str, Any]]:
    named = [*results.names, "start"]  # -1 is the start
    for one in competition.attacks:
        start = results.conditions[one.condition]
        yield {
            "attacker": results.judges[one.attacker], "defender": results.judges[one.defender],
            "photograph": start.input.photograph, "degradation": start.input.degradation, "level": start.level,
            "better": named[one.better], "worse": named[one.worse], "attacker deviations": one.parted,
            "defender deviations": one.alike, "confirmed deviations": one.confirmed,
        }  # fmt: skip


def _contrast(one: Contrast) -> dict[str, Any]:
    return {**asdict(one), "shown": one.shown}


def over_outputs(results: Results, values: Array, chosen: Chosen) -> list[float | None]:
    """Means (models,) of values (conditions, models) over the outputs that count, every photograph once."""
    found: list[float | None] = []
    for model in range(len(results.names)):
        mine = [number for number in chosen if results.counted[number, model] and np.isfinite(values[number, model])]
        mean, _ = mean_and_error(values[mine, model], results.photographs(np.array(mine, dtype=np.intp)))
        found.append(_round(mean))
    return found


def _round(values: Array) -> Any:
    """Nested lists with 4 decimals, null for what is not finite."""
    if np.ndim(values):
        return [_round(value) for value in values]
    return round(float(values), 4) if math.isfinite(float(values)) else None


def _pair(values: tuple[Array, Array]) -> dict[str, Any]:
    return {"mean": _round(values[0]), "error": _round(values[1])}


def _cell_rows(results: Results) -> Iterator[dict[str, Any]]:
    for row, condition in enumerate(results.conditions):
        for column, (name, cell) in enumerate(zip(results.names, condition.cells, strict=True)):
            if cell is None:
                continue
            yield {
                "photograph": condition.input.photograph, "degradation": condition.input.degradation,
                "level": condition.level, "model": name, "prior_weight": cell.weight, "distance": cell.distance,
                "target": cell.target, "start_distance": condition.input.start_distance,
                "matched": cell.matched, "ascents": len(cell.trials), "seconds": round(cell.seconds, 1),
                "software": cell.software,
                **{f"score {judge}": results.scores[row, column, place] for place, judge in enumerate(results.judges)},
                **{f"start {judge}": results.start[row, place] for place, judge in enumerate(results.judges)},
                **{measure: results.measures[measure][row, column] for measure in MEASURES},
                **{measure: results.resemblance[measure][row, column] for measure in RESEMBLANCE},
            }  # fmt: skip


def _matrix_rows(groups: Sequence[Mapping[str, Any]], results: Results) -> Iterator[dict[str, Any]]:
    for group in groups:
        for row, model in enumerate(results.names):
            for column, judge in enumerate(results.judges):
                yield {
                    "degradation": group["degradation"] or "all", "level": group["level"] or "all",
                    "optimised by": model, "judged by": judge, "conditions": group["conditions"],
                    **{
                        f"{kind} {part}": group[kind][part][row][column]
                        for kind in ("scores", "gains", "deviations", "excess")
                        for part in ("mean", "error")
                        if group[kind]["mean"]
                    },
                }  # fmt: skip


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV text; names that a spreadsheet would take for formulas get an apostrophe in front.

    Columns' names have no spaces, and what is not there is an empty cell.
    """
    text = io.StringIO()
    if rows:
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([_harmless(name.replace(" ", "_")) for name in names])
        writer.writerows([[_harmless(row.get(name)) for name in names] for row in rows])
    return text.getvalue()


def _harmless(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def sheet(results: Results, folder: Folder, first: Sequence[int], largest: int = LARGEST_SHEET) -> list[dict[str, Any]]:
    """The contact sheet: for each condition the photograph, the start and every output, with scores.

    Args:
        first: conditions that matter most, if not all find room.
        largest: characters of images, about; one condition is shown however large.
    """
    rows: dict[int, dict[str, Any]] = {}
    room = largest
    for number in dict.fromkeys((*first, *_begun(results))):
        if room <= 0:
            break
        row = _row(results, folder, number)
        if row is not None:
            rows[number] = row
            room -= sum(len(image["src"] or "") for image in row["images"])
    return [rows[number] for number in sorted(rows)]


def _begun(results: Results) -> list[int]:
    """Conditions with at least one output."""
    return [
        number
        for number, condition in enumerate(results.conditions)
        if any(cell is not None for cell in condition.cells)
    ]


def _row(results: Results, folder: Folder, number: int) -> dict[str, Any] | None:
    condition = results.conditions[number]
    stored = folder.read_input(condition.input.key)
    if stored is None:
        return None
    images = [
        _image("photograph", stored[0]["photograph"], results.photograph[number]),
        _image("start", stored[0]["start"], results.start[number]),
    ]
    for model, cell in enumerate(condition.cells):
        found = None if cell is None else folder.read_cell(cell.key)
        if cell is None or found is None:
            images.append({"label": results.names[model], "src": None})
            continue
        image = _image(results.names[model], found[0], results.scores[number, model])
        image.update(weight=cell.weight, distance=round(cell.distance, 4), matched=cell.matched)
        images.append(image)
    if "clean" in stored[0]:
        images.append({"label": "undegraded", "src": data_uri(stored[0]["clean"]), "scores": None})
    return {
        "condition": number, "photograph": condition.input.photograph, "level": condition.level,
        "degradation": condition.input.degradation, "matched": condition.matched, "images": images,
    }  # fmt: skip


def _image(label: str, image: Tensor, scores: Array) -> dict[str, Any]:
    return {"label": label, "src": data_uri(image), "scores": _round(scores)}


def _with_places(pairs: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Disagreement pairs whose images are in the page, with their row in the sheet."""
    places = {row["condition"]: place for place, row in enumerate(rows)}
    return [{**pair, "row": places[pair["condition"]]} for pair in pairs if pair["condition"] in places]
