"""``python -m dmap stability``: the same comparison with other seeds and budgets."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import output
from ..compare import figures, report, results, stability
from ..compare.folder import Folder
from ..output import write_text

NAME = "stability"
HELP = "Say what of a comparison's outcome holds with other seeds and budgets; compare has run once for each."
TABLE, FIGURE = "stability.csv", "stability"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "comparisons", type=Path, nargs="+", metavar="DIR",
        help="folders of 'python -m dmap compare' that differ in --seed and --iterations alone",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help=f"where {TABLE} and the figure {FIGURE}.svg, .pdf go"
    )


def run(options: argparse.Namespace) -> int:
    output.check_new_folder(options.out)
    found = [(str(one), results.load(Folder(one))) for one in options.comparisons]
    runs, names = stability.read(found), found[0][1].names
    options.out.mkdir(parents=True, exist_ok=True)
    write_text(options.out / TABLE, report.csv_text(stability.rows(runs, names)))
    figures.write_drawing(stability.drawing(runs, names), options.out / FIGURE)
    for one in runs:
        print(f"{one.name} (seed {one.seed}, {one.iterations} iterations): {one.headline}")
    for sentence in stability.sentences(runs, names):
        print(sentence)
    print(options.out)
    return 0
