"""The work behind the command: what is restored and judged, piece by piece, and what is written."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

from dmap.batch import Executor, Failure, Place, Work, exclusive

from . import curves, tables
from .cells import Cells, make, split
from .methods import DEFAULTS, METHODS, Budget, Method, Tools, restore
from .search import report, searched
from .sheets import sheet
from .store import Store, Units, Workshop
from .tables import Row

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


def _every(
    workshop: Workshop, prior: str, methods: dict[str, Method], budget: Budget, file: Path, index: int,
    options: argparse.Namespace,
) -> list[Row]:  # fmt: skip
    cells = make(file, index, options.each, options.size)
    return [
        row
        for name, method in methods.items()
        if index % 4 == 0 or name not in RARE
        for row in workshop.judged(prior, cells, method, budget, {"method": name})
    ]


def compared(options: argparse.Namespace, budget: Budget, workshop: Workshop) -> Units:
    """All methods on the reporting photographs; the main ones with another prior."""
    units: Units = {}
    files = split(options.photos, tuning=False)[: options.count]
    for prior in options.priors:
        names = METHODS if prior == FIRST else (*REFERENCES, *CURVES)
        methods = {name: METHODS[name] for name in names}
        its = replace(budget, fidelity_weight=FIDELITY_WEIGHTS.get(prior, budget.fidelity_weight))
        for index, file in enumerate(files[::3] if prior == SECOND else files):
            work = partial(_every, workshop, prior, methods, its, file, index, options)
            units[f"cells/{prior}", f"{file.stem} {options.size} {options.each}"] = work
    return units


def weighed(options: argparse.Namespace, budget: Budget, workshop: Workshop) -> Units:
    """Curves over the prior's weight, without a stop."""
    units: Units = {}
    for index, file in enumerate(split(options.photos, tuning=False)[1::4][: options.curve_photos]):
        for name in CURVES:
            for weight in WEIGHTS:
                climb = replace(budget, prior_weight=weight, target=200.0)
                work = partial(_weighed, workshop, file, index, options, name, climb, weight)
                units["curves", f"{file.stem} {list(METHODS).index(name)} {weight:g}"] = work
    return units


def _weighed(
    workshop: Workshop, file: Path, index: int, options: argparse.Namespace, name: str, climb: Budget, weight: float
) -> list[Row]:
    cells = make(file, index, 4, options.size)
    return workshop.judged(FIRST, cells, METHODS[name], climb, {"method": name, "weight": weight})


def find(options: argparse.Namespace, budget: Budget, workshop: Workshop) -> tuple[Units, Units]:
    """The search on the tuning photographs."""
    files = split(options.photos, tuning=True)[: options.count]

    @cache
    def batches() -> list[Cells]:
        return [make(file, index, options.each, options.size) for index, file in enumerate(files)]

    return searched(batches, budget, workshop)


@dataclass(frozen=True)
class EvidenceRecipe:
    """Makes the work in whichever process: rows into the store.

    Attributes:
        options: of the command.
        budget: of all methods.
    """

    options: argparse.Namespace
    budget: Budget

    def units(self) -> Units:
        """All pieces of work; models are loaded when the first is done."""
        workshop = Workshop(self.options.judge)
        if self.options.search:
            steps, grid = find(self.options, self.budget, workshop)
            return {**steps, **grid}
        return {**compared(self.options, self.budget, workshop), **weighed(self.options, self.budget, workshop)}

    def __call__(self, place: Place) -> Work:
        """Ready to do the unit of a name."""
        units, store = self.units(), Store(self.options.out)
        return lambda unit, _: store.write(unit, units[unit]())


def fill(options: argparse.Namespace, budget: Budget, executor: Executor) -> None:
    """Do all work that is not in the store yet. Raises the first failure, after all other work."""
    recipe, store, failures = EvidenceRecipe(options, budget), Store(options.out), list[Failure]()
    with exclusive(options.out):
        todo = [unit for unit in recipe.units() if unit not in store]
        for done, outcome in enumerate(executor.run(recipe, todo)):
            said = "" if outcome.failure is None else f": {outcome.failure.text}"
            print(f"{done + 1} of {len(todo)}: {' '.join(outcome.task)}{said}", flush=True)
            failures += [] if outcome.failure is None else [outcome.failure]
    if failures:
        raise failures[0].exception()


def write(options: argparse.Namespace, budget: Budget) -> None:
    """Tables, curves and the comparison at equal prior score."""
    workshop, store = Workshop(options.judge), Store(options.out)
    everything: list[Row] = [
        {"climbed": unit[0].removeprefix("cells/"), **row}
        for unit in compared(options, budget, workshop)
        for row in store.read(unit)
    ]
    weights = [row for unit in weighed(options, budget, workshop) for row in store.read(unit)]
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
    store = Store(options.out)
    steps, grid = (
        [row for unit in units for row in store.read(unit)] for units in find(options, budget, Workshop(options.judge))
    )
    text = f"{asdict(budget)}, {options.size} px\n\n{report(steps, grid)}"
    (options.out / "search.md").write_text(text, encoding="utf-8")
    tables.write_csv(grid, options.out / "search.csv")
