"""Evidence that the method works, or does not: ``python -m tools.benchmarks.evidence --help``.

Held-out photographs (never trained on) are halved: one half is for --search, the other for everything else. Each is
degraded in known ways and restored by every method with the same prior and the same objective; measures that nobody
climbed judge the results. Finished work is kept in the output folder, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from dmap.cli import common

from .methods import Budget
from .run import FIRST, SECOND, fill, show, write, write_search


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.evidence", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables, figures and finished work")
    parser.add_argument("--search", action="store_true", help="search step sizes and defaults on the tuning half")
    parser.add_argument("--count", type=int, default=18, help="photographs")
    parser.add_argument("--each", type=int, default=2, help="degradations of each photograph")
    common.add_executor_arguments(parser)  # each job needs 3 GB of memory
    parser.set_defaults(device="cpu")
    parser.add_argument("--curve-photos", type=int, default=2, help="photographs for the curves over the prior weight")
    parser.add_argument("--size", type=int, default=256, help="side of the central square in pixels, at least 176")
    parser.add_argument("--priors", nargs="+", default=[FIRST, SECOND, "dmap_guide"], help="what the ascents climb")
    parser.add_argument("--judge", default="dmap_judge", help="a model trained by: python -m tools.training judge")
    parser.add_argument("--iterations", type=int, default=Budget().iterations, help="of every ascent")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    budget = replace(Budget(), iterations=options.iterations)
    try:
        fill(options, budget, common.executor_of(options))
        if options.search:
            write_search(options, budget)
        else:
            write(options, budget)
            show(options, budget)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
