"""``python -m dmap rank``: from vote files to a ranking."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import output
from ..compare import parts, ranking, study, votes
from ..errors import number_between
from . import common

NAME = "rank"
HELP = "Rank the models of a study by its observers' votes (Bradley-Terry and Thurstone, bootstrap intervals)."
RANKING = parts.file_name("ranking")
OTHERS = (study.KEY, *(parts.file_name(kind) for kind in parts.PARTS))
"""Files that may lie beside votes without being any."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", type=Path, metavar="KEY", help=f"the study's {study.KEY}")
    parser.add_argument("votes", type=Path, nargs="+", metavar="VOTES", help="vote files, or folders of them")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: {RANKING} beside KEY")
    parser.add_argument("--samples", type=int, default=500, help="bootstrap samples (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")


def run(options: argparse.Namespace) -> int:
    common.check_seed(options.seed)
    number_between("--samples", options.samples, 2, 100_000, "500 are usual", whole=True)
    out = options.out or options.key.with_name(RANKING)
    files = [file for one in options.votes for file in (sorted(one.glob("*.json")) if one.is_dir() else [one])]
    output.check_distinct({"KEY": options.key, "--out": out})
    for file in files:
        if file.name not in OTHERS:
            output.check_distinct({"VOTES": file, "--out": out})
    output.check_place(out)
    key = study.read_key(options.key)
    observers, problems = votes.read((file for file in files if file.name not in OTHERS), key)
    for problem in problems:
        print(f"{problem.file}: {problem.text}{'' if problem.used else '; not used'}")
    found = ranking.summary(observers, key.models, options.samples, options.seed)
    content: dict[str, Any] = {
        "study": key.id, "strategy": key.strategy, **found, "problems": [asdict(problem) for problem in problems],
    }  # fmt: skip
    parts.write("ranking", content, key.comparison, key.models_by_name, out)
    overall = found["overall"]
    print(found["verdict"])
    for name, strength, low, high, thurstone, taken in zip(
        *(overall[part] for part in ("models", "strengths", "low", "high", "thurstone", "votes")), strict=True
    ):
        print(f"{strength:+.2f} ({low:+.2f} to {high:+.2f})  {name}, {taken} votes, Thurstone {thurstone:+.2f}")
    print(f"95 % intervals by resampling {found['resampled']}")
    if found["agreement"] is not None:
        print(f"agreement between {len(observers)} observers: Krippendorff's alpha {found['agreement']:.2f}")
    print(out)
    return 0
