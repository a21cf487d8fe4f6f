"""Passes and time until the paper's objective value is reached.

``python -m tools.benchmarks.target --photos DIR --out DIR``

The paper's configuration climbs on every photograph (hours on a CPU), then each cheap configuration climbs the same
objective, that is the paper's prior weight, fidelity and fidelity weight, until it reaches the best value that the
paper's configuration reached on that photograph. Every finished climb is kept in the folder under a name made of all
that decides it, so that a stopped run goes on where it was, and other weights or settings are climbed anew.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean, median

import torch

from dmap.method.gradients import make_gradient
from dmap.method.solvers import make_solver
from dmap.models.diffusion import shipped
from dmap.priors import load_prior
from dmap.settings import preset
from tools.benchmarks.climbs import Case, Climber, Coarse, Configuration, Record, cases, key, paper, settings_of, stored
from tools.benchmarks.evidence.store import Store

LIMIT = 600
"""F that a cheap configuration may spend, its inversion included."""

CANDIDATES = {
    "4 steps, exact": Configuration(gradient="keep"),
    "4 steps, sparse": Configuration(),
    "4 steps, sparse, step 0.05": Configuration(step_size=0.05),
    "2 steps, exact": Configuration(steps=2, gradient="keep"),
    "1 step, exact": Configuration(steps=1, gradient="keep"),
    "4 steps, strength 0.4, sparse": Configuration(strength=0.4, step_size=0.05),
    "1 step first, then 4, sparse": Configuration(coarse=Coarse(iterations=20, steps=1)),
}
"""What ``tools.benchmarks.optimiser`` found on other photographs, and what it is compared with."""


def reference(climber: Climber, case: Case, iterations: int) -> list[Record]:
    """The paper's configuration to its end."""
    configuration = paper(iterations)

    def see(record: Record) -> bool:
        print(f"paper, {case.name}: {record['F']:.0f} F, objective {record['objective']:.2f}", flush=True)
        return False

    return climber.climb(case.photograph, configuration, see, preset("paper").target_score)


def cheap(climber: Climber, case: Case, configuration: Configuration) -> list[Record]:
    """A configuration until ``LIMIT`` is spent."""
    return climber.climb(case.photograph, configuration, lambda record: record["F"] >= LIMIT)


def reached(records: Sequence[Record], goal: float) -> Record | None:
    """The first record at the goal, or None if there is none within ``LIMIT``."""
    return next((record for record in records if record["objective"] >= goal and record["F"] <= LIMIT), None)


def published(iterations: int) -> int:
    """F of the paper's configuration with a checkpoint a call, its inversion and last evaluation included."""
    solver, steps = make_solver(preset("paper").solver), preset("paper").steps
    once = solver.inversion_evaluations(steps) + solver.evaluations * steps
    return once + iterations * make_gradient("checkpoint").passes(solver, steps)


def table(references: Sequence[Sequence[Record]], found: dict[str, Sequence[Sequence[Record]]]) -> str:
    """Markdown: a row a configuration."""
    goals = [max(record["objective"] for record in records) for records in references]
    starts = [records[0]["objective"] for records in references]
    costs, times = ([published(len(r) - 1) for r in references], [r[-1]["forwards"] for r in references])
    kept = mean(records[-1]["F"] for records in references)
    lines = [
        f"The paper's configuration, {len(references)} photographs: {mean(costs):.0f} F in the mean ({min(costs)} to "
        f"{max(costs)}), objective {mean(starts):.1f} -> {mean(goals):.1f}; with all calls kept {kept:.0f} F, in the "
        f"time of {mean(times):.0f} forward passes.",
        "",
        f"| configuration | reached within {LIMIT} F | F, median | F, most | times fewer F, median | times faster, "
        f"median | best objective at {LIMIT} F, mean |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, climbs in found.items():
        hits = [reached(records, goal) for records, goal in zip(climbs, goals, strict=True)]
        passes = [LIMIT + 1 if hit is None else hit["F"] for hit in hits]
        shown = [f"over {LIMIT}" if x > LIMIT else f"{x:.0f}" for x in (median(passes), max(passes))]
        best = mean(max(record["objective"] for record in records) for records in climbs)
        ratios = ["-", "-"]
        if all(hit is not None for hit in hits):
            done = [hit for hit in hits if hit is not None]
            ratios = [
                f"{median(whole / hit[what] for whole, hit in zip(wholes, done, strict=True)):.0f}"
                for wholes, what in ((costs, "F"), (times, "forwards"))
            ]
        count = f"{sum(hit is not None for hit in hits)} of {len(hits)}"
        lines.append(f"| {name} | {count} | {' | '.join([*shown, *ratios])} | {best:.1f} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.target", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for the climbs and the table, target.md")
    parser.add_argument("--count", type=int, default=10, help="photographs (default: 10)")
    parser.add_argument("--size", type=int, default=96, help="side of the central square in pixels (default: 96)")
    parser.add_argument("--iterations", type=int, default=50, help="of the paper's configuration (default: 50)")
    options = parser.parse_args(arguments)
    model, prior = shipped(), load_prior("dmap_quality").requires_grad_(False)
    climber, store = Climber(model, prior), Store(options.out)
    found, references = cases(options.photos, options.count, options.size), []
    for case in found:
        named = key(model, prior, case, settings_of(paper(options.iterations)))
        references.append(stored(store, f"paper-{named}", partial(reference, climber, case, options.iterations)))
    climbs: dict[str, Sequence[Sequence[Record]]] = {}
    for name, configuration in CANDIDATES.items():
        climbs[name] = [
            stored(
                store,
                f"cheap-{key(model, prior, case, [LIMIT, settings_of(configuration)])}",
                partial(cheap, climber, case, configuration),
            )
            for case in found
        ]
        text = table(references, climbs)
        machine = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
        head = f"{options.size} px, {options.iterations} iterations of the paper's, {machine}\n\n"
        (options.out / "target.md").write_text(head + text, encoding="utf-8")
        print(name, flush=True)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
