"""``python -m dmap report``: a comparison as one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..compare import figures, parts, report, results, srcc
from ..compare.folder import Folder
from ..compare.verdict import verdict

NAME = "report"
HELP = "Write a comparison's report: one self-contained page, and the tables behind it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("comparison", type=Path, metavar="DIR", help="folder of 'python -m dmap compare'")
    parser.add_argument("--title", help="of the page (default: the folder's name)")
    for kind, part in parts.PARTS.items():
        text = f"of '{part.command}' (default: DIR/{part.place})"
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=text)
    parser.add_argument(
        "--srcc", type=Path, metavar="FILE",
        help="a table of the models' rank correlations on IQA data sets, to hold against the outcome: CSV, "
        f"{srcc.EXAMPLE} (default: DIR/{srcc.NAME})",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    folder = Folder(options.comparison)
    found = results.load(folder)
    extra, left_out = parts.collect(found, folder, {kind: getattr(options, kind) for kind in parts.PARTS})
    table = options.srcc or folder.path / srcc.NAME
    if options.srcc is not None or table.is_file():
        extra["srcc"] = srcc.read(table, found.names)
    for reason in left_out:
        print(f"left out: {reason}")
    page = report.write(found, folder, extra, options.title or folder.path.resolve().name)
    for sentence in verdict(found, found.select()):
        print(sentence)
    print(f"{page}; the numbers are in {report.DATA} and the CSV files beside it, figures in {figures.FOLDER}/")
    return 0
