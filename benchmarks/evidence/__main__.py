"""Evidence that the method works, or does not: ``python -m benchmarks.evidence --help``.

Held-out photographs (never trained on) are halved: one half is for --search, the other for everything else. Each is
degraded in known ways and restored by every method with the same prior and the same objective; measures that nobody
climbed judge the results. Finished work is kept in the output folder, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from . import curves, tables
from .cells import make, split
from .judges import Judges
from .methods import METHODS, OURS, Budget, Method, Tools, restore
from .search import search
from .sheets import sheet
from .store import Store, judged
from .tables import Row

WEIGHTS = (0.25, 1.0, 4.0, 16.0)
CURVES = ("MAP on pixels", "MAP in the autoencoder's latent", OURS)
SHEET = ("noise 25", "mixed strong", "jpeg 15", "blur 1.6")


def _every(judges: Judges, tools: Tools, methods: dict[str, Method], budget: Budget, file: Path, index: int,
           options: argparse.Namespace) -> list[Row]:  # fmt: skip
    cells = make(file, index, options.each, options.size)
    return [
        row
        for name, method in methods.items()
        for row in judged(judges, tools, cells, method, budget, {"method": name})
    ]


def compare(options: argparse.Namespace, budget: Budget) -> str:
    """All methods on the reporting photographs; with another training seed's prior the main ones on half of them."""
    judges, everything, text = Judges(options.judge), [], ""
    files = split(options.photos, tuning=False)[: options.count]
    for seed in options.seeds:
        tools, store = Tools.of_seed(seed), Store(options.out / "cells" / f"seed{seed}")
        names = METHODS if seed == 0 else ("input", "autoencoder alone", *CURVES)
        methods, rows = {name: METHODS[name] for name in names}, []
        for index, file in enumerate(files if seed == 0 else files[::2]):
            work = partial(_every, judges, tools, methods, budget, file, index, options)
            rows += store.rows(f"{file.stem} {options.size} {options.each}", work)
            print(f"seed {seed}: {index + 1} photographs", flush=True)
        everything += [{"seed": seed, **row} for row in rows]
        text += f"### Prior of training seed {seed}: {len(rows) // len(methods)} cells\n\n{tables.means(rows)}\n"
        for other in ("input", "autoencoder alone"):
            text += f"Minus {other}:\n\n{tables.differences(rows, other)}\n"
    tables.write_csv(everything, options.out / "evidence.csv")
    return text


def weigh(options: argparse.Namespace, budget: Budget) -> str:
    """Curves over the prior's weight, without a stop, and the comparison at equal prior score."""
    judges, tools, store, rows = Judges(options.judge), Tools(), Store(options.out / "curves"), []
    for index, file in enumerate(split(options.photos, tuning=False)[1::4][: options.curve_photos]):
        cells = make(file, index, 4, options.size)
        for name in CURVES:
            for weight in WEIGHTS:
                climb = replace(budget, prior_weight=weight, target=200.0)
                work = partial(judged, judges, tools, cells, METHODS[name], climb, {"method": name, "weight": weight})
                rows += store.rows(f"{file.stem} {list(METHODS).index(name)} {weight:g}", work)
        print(f"curves: {index + 1} photographs", flush=True)
    tables.write_csv(rows, options.out / "curves.csv")
    curves.figure(rows, options.out / "curves.png")
    return "".join(f"{tables.at_equal_score(rows, OURS, other)}\n" for other in CURVES[:-1])


def show(options: argparse.Namespace, budget: Budget) -> None:
    """Contact sheets: every method on four degradations, and what a prior without fidelity does to each space."""
    tools, rows, failures = Tools(), [], []
    files = split(options.photos, tuning=False)
    wild = replace(budget, fidelity_weight=0.0, target=200.0, iterations=2 * budget.iterations)
    for index, degradation in enumerate(SHEET):
        file = files[(3 * index + 1) % len(files)]
        every = make(file, 0, 12, options.size)
        at = every.degradations.index(degradation)
        clean, degraded = every.clean[at : at + 1], every.degraded[at : at + 1]
        found = {name: restore(tools, degraded, method, budget).image[0] for name, method in METHODS.items()}
        rows.append((f"{file.stem}: {degradation}", {"clean": clean[0], **found}))
        failing = {name: restore(tools, degraded, METHODS[name], wild).image[0] for name in ("input", *CURVES)}
        scores = ", ".join(f"{float(tools.prior(image[None])):.0f}" for image in failing.values())
        failures.append((f"{degradation}, fidelity weight 0; prior scores {scores}", failing))
    sheet(rows, options.out / "sheet.jpg")
    sheet(failures, options.out / "failure.jpg")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables, figures and finished work")
    parser.add_argument("--search", action="store_true", help="search step sizes and defaults on the tuning half")
    parser.add_argument("--count", type=int, default=18, help="photographs")
    parser.add_argument("--each", type=int, default=3, help="degradations of each photograph")
    parser.add_argument("--curve-photos", type=int, default=3, help="photographs for the curves over the prior weight")
    parser.add_argument("--size", type=int, default=256, help="side of the central square in pixels, at least 176")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="the prior's training seeds; 0 is shipped",
    )
    parser.add_argument("--judge", type=Path, help="a network trained by: python -m dmap.training judge")
    parser.add_argument("--iterations", type=int, default=Budget().iterations, help="of every ascent")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    budget = replace(Budget(), iterations=options.iterations)
    head = f"{asdict(budget)}, {options.size} px\n\n"
    try:
        if options.search:
            files = split(options.photos, tuning=True)[: options.count]
            batches = [make(file, index, options.each, options.size) for index, file in enumerate(files)]
            (options.out / "search.md").write_text(
                head + search(batches, options.out, budget, Judges(options.judge)), encoding="utf-8"
            )
            return 0
        text = compare(options, budget) + "### At equal prior score\n\n" + weigh(options, budget)
        (options.out / "evidence.md").write_text(head + text, encoding="utf-8")
        show(options, budget)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
