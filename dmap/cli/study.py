"""``python -m dmap study``: a page on which people compare outputs in pairs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from .. import output
from ..compare import parts, results, selection, simulation, study
from ..compare.folder import Folder
from ..errors import number_between
from . import common

NAME = "study"
HELP = "Make a self-contained page on which people compare a comparison's outputs in pairs, blind."
SIMULATION = parts.file_name("simulation")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("comparison", type=Path, metavar="DIR", help="folder of 'python -m dmap compare'")
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help=f"folder for {study.PAGE} (to hand out) and {study.KEY} (to keep to yourself); default: DIR/study",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=40, help="pairs to ask about (default: 40)")
    parser.add_argument(
        "--catches",
        type=int,
        default=10,
        help="trials with a known answer; 6 or more tell people from clickers (default: 10)",
    )
    parser.add_argument("--repeats", type=int, default=8, help="pairs that are asked twice (default: 8)")
    parser.add_argument(
        "--strategy", choices=selection.STRATEGIES, default="debiased",
        help="debiased: where unrelated judges part most, evenly over contents and models; random (default: debiased)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the choice, the order and the sides (default: 0)")
    parser.add_argument("--question", default=study.QUESTION, help=f"above every pair (default: {study.QUESTION})")
    parser.add_argument(
        "--consent",
        default="",
        metavar="TEXT",
        help="to be agreed to before the first pair, or a file that holds it",
    )
    parser.add_argument("--practice", type=int, default=0, help="pairs to begin with that do not count (default: 0)")
    parser.add_argument("--ties", action="store_true", help="offer the answer 'no difference', half a win of each")
    parser.add_argument("--breaks", type=int, default=0, help="offer a rest after so many answers (default: none)")
    parser.add_argument(
        "--simulate", type=int, default=0, metavar="N",
        help=f"also simulate N studies by either strategy and write how many votes each needs to {SIMULATION}",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    folder = Folder(options.comparison)
    out = options.out or options.comparison / "study"
    common.check_seed(options.seed)
    number_between("--simulate", options.simulate, 0, 100_000, "200 show enough", whole=True)
    output.check_new_folder(out)
    for name in (study.PAGE, study.KEY, SIMULATION):
        output.check_distinct({"--consent": Path(options.consent) if options.consent else None, "--out": out / name})
    found = results.load(folder)
    asking = study.Asking(options.question, _text(options.consent), options.practice, options.ties, options.breaks)
    made = study.make(
        found, folder, out, options.pairs, options.catches, options.repeats, options.strategy, options.seed, asking
    )
    print(f"{out / study.PAGE}: {len(made.trials)} trials; keep {out / study.KEY} to yourself")
    if options.simulate > 0:
        contents = [f"{one.input.photograph}/{one.input.degradation}" for one in found.conditions]
        power = simulation.power(
            selection.candidates(found), contents, len(found.names), options.pairs, repeats=options.simulate,
            seed=options.seed,
        )  # fmt: skip
        content = {"pairs": options.pairs, "repeats": options.simulate, "rows": [asdict(one) for one in power]}
        parts.write("simulation", content, found.method, found.prints, out / SIMULATION)
        for follows in sorted({one.follows for one in power}):
            needed = {name: simulation.votes_needed(power, name, follows) for name in selection.STRATEGIES}
            words = ", ".join(f"{name} {votes or 'more than simulated'}" for name, votes in needed.items())
            print(f"people follow what judges part on ({follows:g}): votes for 90 % right order: {words}")
            print(f"  {simulation.claim(power, follows)}")
    return 0


def _text(given: str) -> str:
    """A text itself, or what the file of that name holds."""
    return Path(given).read_text(encoding="utf-8") if given and len(given) < 250 and Path(given).is_file() else given
