"""The work behind the command: what is restored and judged, in how many processes, and what is written."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from . import curves, tables
from .cells import make, split
from .judges import Judges
from .methods import DEFAULTS, METHODS, Budget, Method, Tools, restore
from .search import report, searched
from .sheets import sheet
from .store import Store, judged
from .tables import Row

Share = tuple[int, int]
ALL: Share = (0, 1)
"""The only process does everything."""
WEIGHTS = (0.25, 1.0, 4.0, 16.0)
CURVES = ("MAP on pixels", "MAP in the autoencoder's latent", DEFAULTS)
REFERENCES = ("input", "autoencoder alone", "autoencoder and detail")
"""What the methods are compared with."""
RARE = ("MAP in diffusion", "MAP in diffusion, EDICT", "MAP in diffusion, full path")
"""Slow, and only on every fourth photograph."""
FIRST, SECOND = "dmap_quality", "dmap_quality_seed1"
"""The nodes' prior, and its like from another training seed, for the main methods on a third of the photographs."""
FIDELITY_WEIGHTS = {"dmap_guide": 25.0}
"""Of priors that ask for another one than the nodes' default."""
SHEET = ("noise 25", "mixed strong", "jpeg 15", "blur 1.6")


def _every(judges: Judges, tools: Tools, methods: dict[str, Method], budget: Budget, file: Path, index: int,
           options: argparse.Namespace) -> list[Row]:  # fmt: skip
    cells = make(file, index, options.each, options.size)
    return [
        row
        for name, method in methods.items()
        if index % 4 == 0 or name not in RARE
        for row in judged(judges, tools, cells, method, budget, {"method": name})
    ]


def compared(options: argparse.Namespace, budget: Budget, share: Share) -> list[Row]:
    """All methods on the reporting photographs; the main ones with another prior."""
    judges, rows = Judges(options.judge), []
    files = split(options.photos, tuning=False)[: options.count]
    for prior in options.priors:
        tools, store = Tools.of(prior), Store(options.out / "cells" / prior, share)
        names = METHODS if prior == FIRST else (*REFERENCES, *CURVES)
        methods = {name: METHODS[name] for name in names}
        its = replace(budget, fidelity_weight=FIDELITY_WEIGHTS.get(prior, budget.fidelity_weight))
        for index, file in enumerate(files[::3] if prior == SECOND else files):
            work = partial(_every, judges, tools, methods, its, file, index, options)
            found = store.rows(f"{file.stem} {options.size} {options.each}", work)
            rows += [{"climbed": prior, **row} for row in found]
            print(f"{prior}: {index + 1} photographs", flush=True)
    return rows


def weighed(options: argparse.Namespace, budget: Budget, share: Share) -> list[Row]:
    """Curves over the prior's weight, without a stop."""
    judges, tools, store, rows = Judges(options.judge), Tools(), Store(options.out / "curves", share), []
    for index, file in enumerate(split(options.photos, tuning=False)[1::4][: options.curve_photos]):
        cells = make(file, index, 4, options.size)
        for name in CURVES:
            for weight in WEIGHTS:
                climb = replace(budget, prior_weight=weight, target=200.0)
                work = partial(judged, judges, tools, cells, METHODS[name], climb, {"method": name, "weight": weight})
                rows += store.rows(f"{file.stem} {list(METHODS).index(name)} {weight:g}", work)
        print(f"curves: {index + 1} photographs", flush=True)
    return rows


def find(options: argparse.Namespace, budget: Budget, share: Share) -> tuple[list[Row], list[Row]]:
    """The search on the tuning photographs."""
    files = split(options.photos, tuning=True)[: options.count]
    batches = [make(file, index, options.each, options.size) for index, file in enumerate(files)]
    return searched(batches, Store(options.out / "search", share), budget, Judges(options.judge))


def fill(options: argparse.Namespace, budget: Budget, share: Share) -> None:
    """One process's share of the work, into the store."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // share[1]))
    if options.search:
        find(options, budget, share)
    else:
        compared(options, budget, share)
        weighed(options, budget, share)


def write(options: argparse.Namespace, budget: Budget) -> None:
    """Tables, curves and the comparison at equal prior score."""
    everything, weights = compared(options, budget, ALL), weighed(options, budget, ALL)
    text = f"{asdict(budget)}, {options.size} px\n\n"
    for prior in options.priors:
        rows = [row for row in everything if row["climbed"] == prior]
        cells = {(row["photo"], row["degradation"]) for row in rows}
        quick = [row for row in rows if row["method"] not in RARE]
        weight = FIDELITY_WEIGHTS.get(prior, budget.fidelity_weight)
        text += f"### Prior {prior}, fidelity weight {weight:g}: {len(cells)} cells\n\n{tables.means(quick)}\n"
        if rare := {(row["photo"], row["degradation"]) for row in rows if row["method"] in RARE}:
            there = [row for row in rows if (row["photo"], row["degradation"]) in rare]
            text += f"On the {len(rare)} of them that the slow methods restored as well:\n\n{tables.means(there)}\n"
        for other in REFERENCES:
            text += f"Minus {other}:\n\n{tables.differences(rows, other)}\n"
    text += "### At the highest common prior score\n\n"
    text += "".join(f"{tables.at_equal_score(weights, DEFAULTS, other)}\n" for other in CURVES[:-1])
    text += f"### At the prior score of {DEFAULTS}\n\n"
    text += "".join(f"{tables.at_equal_score(weights, DEFAULTS, other, 1.0)}\n" for other in CURVES[:-1])
    (options.out / "evidence.md").write_text(text, encoding="utf-8")
    tables.write_csv(everything, options.out / "evidence.csv")
    tables.write_csv(weights, options.out / "curves.csv")
    curves.figure(weights, options.out / "curves.png")


def show(options: argparse.Namespace, budget: Budget) -> None:
    """Contact sheets: the methods on four degradations, and what a prior without fidelity does to each space."""
    tools, rows, failures = Tools(), [], []
    shown = {name: method for name, method in METHODS.items() if name not in RARE}
    files = split(options.photos, tuning=False)
    wild = replace(budget, fidelity_weight=0.0, target=200.0, iterations=2 * budget.iterations)
    for index, degradation in enumerate(SHEET):
        file = files[(3 * index + 1) % len(files)]
        every = make(file, 0, 12, options.size)
        at = every.degradations.index(degradation)
        clean, degraded = every.clean[at : at + 1], every.degraded[at : at + 1]
        found = {name: restore(tools, degraded, method, budget).image[0] for name, method in shown.items()}
        rows.append((f"{file.stem}: {degradation}", {"clean": clean[0], **found}))
        failing = {name: restore(tools, degraded, METHODS[name], wild).image[0] for name in ("input", *CURVES)}
        scores = ", ".join(f"{float(tools.prior(image[None])):.0f}" for image in failing.values())
        failures.append((f"{degradation}, fidelity weight 0; prior scores {scores}", failing))
    sheet(rows, options.out / "sheet.jpg")
    sheet(failures, options.out / "failure.jpg")


def write_search(options: argparse.Namespace, budget: Budget) -> None:
    """What the search found."""
    steps, grid = find(options, budget, ALL)
    text = f"{asdict(budget)}, {options.size} px\n\n{report(steps, grid)}"
    (options.out / "search.md").write_text(text, encoding="utf-8")
    tables.write_csv(grid, options.out / "search.csv")
