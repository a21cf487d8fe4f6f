"""``python -m dmap measure-priors``: which of pyiqa's metrics can be climbed, and the page about them."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import output
from ..priors import catalogue
from ..priors.measure import measure_all
from ..priors.page import markdown
from ..priors.weights import WeightStore
from . import common

NAME = "measure-priors"
HELP = "Measure the gradient of every no-reference metric of pyiqa with random weights; write results and docs page."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("metrics", nargs="*", metavar="METRIC", help="which ones (default: all of the catalogue)")
    parser.add_argument("--weights", type=common.folder, metavar="DIR", help="use the real weight files that are there")
    parser.add_argument(
        "--sight", action="store_true", help="only measure which pixels the gradients of usable metrics reach"
    )
    parser.add_argument("--page-only", action="store_true", help="measure nothing, only write the page")
    parser.add_argument(
        "--results", type=Path, default=catalogue.MEASURED_FILE, metavar="FILE", help="JSON of results to update"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="Markdown page to write, such as docs/priors.md")


def run(options: argparse.Namespace) -> int:
    output.check_distinct({"--results": options.results, "--page": options.page})
    for file in (options.results, options.page):
        if file is not None:
            output.check_place(file)
    if not options.page_only:
        real = WeightStore((options.weights,) if options.weights else ())
        measure_all(options.metrics or catalogue.METRICS, options.results, print, real, options.sight)
    if options.page is not None:
        output.write_text(options.page, markdown(catalogue.measured(options.results)))
    return 0
