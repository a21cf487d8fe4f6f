"""``python -m dmap report``: a comparison as one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..compare import report, results
from ..compare.folder import Folder
from .propose import CHECK
from .rank import RANKING
from .study import SIMULATION

NAME = "report"
HELP = "Write a comparison's report: one self-contained page, and the tables behind it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("comparison", type=Path, metavar="DIR", help="folder of 'python -m dmap compare'")
    parser.add_argument("--title", help="of the page (default: the folder's name)")
    study = Path("DIR") / "study"
    parser.add_argument("--ranking", type=Path, metavar="FILE", help=f"of 'rank' (default: {study / RANKING})")
    parser.add_argument("--simulation", type=Path, metavar="FILE", help=f"of 'study' (default: {study / SIMULATION})")
    parser.add_argument("--mixture", type=Path, metavar="FILE", help=f"of 'propose-prior' (default: DIR/{CHECK})")


def run(options: argparse.Namespace) -> int:
    folder = Folder(options.comparison)
    found = results.load(folder)
    default = {
        "ranking": folder.path / "study" / RANKING,
        "simulation": folder.path / "study" / SIMULATION,
        "mixture": folder.path / CHECK,
    }
    for name in default:
        given: Path | None = getattr(options, name)
        if given is not None and not given.is_file():
            raise ValueError(f"--{name}: there is no file {given}")
    parts = report.read_parts({name: getattr(options, name) or file for name, file in default.items()})
    page = report.write(found, folder, parts, options.title or folder.path.resolve().name)
    print(f"{page}; the numbers are in {report.DATA}, {report.CELLS} and {report.MATRIX} beside it")
    return 0
