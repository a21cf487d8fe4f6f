"""``python -m dmap report``: a comparison as one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..compare import parts, report, results
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


def run(options: argparse.Namespace) -> int:
    folder = Folder(options.comparison)
    found = results.load(folder)
    extra, left_out = parts.collect(found, folder, {kind: getattr(options, kind) for kind in parts.PARTS})
    for reason in left_out:
        print(f"left out: {reason}")
    page = report.write(found, folder, extra, options.title or folder.path.resolve().name)
    for sentence in verdict(found, found.select()):
        print(sentence)
    print(f"{page}; the numbers are in {report.DATA}, {report.CELLS} and {report.MATRIX} beside it")
    return 0
