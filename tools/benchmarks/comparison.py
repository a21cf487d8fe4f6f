"""docs/compare_measured.md made again: ``python -m tools.benchmarks.comparison --photos DIR``.

Photographs that nothing was trained on are brought to one fidelity by every prior at hand, a mixture is proposed out of
them and checked on others, and studies are simulated. What is done already is kept in --out: a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dmap.cli import main as dmap
from dmap.compare import simulation
from dmap.compare.selection import STRATEGIES
from tools import niqe

from .evidence.tables import table

COMPARED = (
    "blue-periwinkle",
    "nc-toucan",
    "sc-city",
    "resnet-burger",
    "friends-by-aitzol-berasategi",
    "lake-sherburne",
)
HELD_OUT = ("cap-surfing", "casa-mila", "inc-dog", "nc-library", "the-spices-of-life", "roman-colosseum")
PRIORS = ("dmap_quality", "dmap_nss", "dmap_spectrum", "robust(dmap_quality)")
JUDGES = ("pyiqa:piqe", "dmap_judge")
SETTINGS = (
    "--degradations", "noise", "jpeg", "--levels", "0.04", "--size", "192", "--iterations", "8", "--steps", "2",
    "--searches", "6",
)  # fmt: skip
STUDY = ("--pairs", "24", "--simulate", "60")
DOCUMENT = Path("docs/compare_measured.md")
Report = Mapping[str, Any]


def commands(photos: Path, out: Path, count: int) -> list[list[str]]:
    """What is run, as ``python -m dmap`` takes it; with NIQE among the priors where its parameters are at hand."""
    parameters = niqe.parameters()
    priors = PRIORS if parameters is None else (*PRIORS, "pyiqa:niqe")
    weights = [] if parameters is None else ["--weights", str(parameters.parent)]
    compared, held_out = ([f"{name}.jpg" for name in names[:count]] for names in (COMPARED, HELD_OUT))
    return [
        ["compare", "--photos", str(photos), "--files", *compared, "--out", str(out), "--priors", *priors,
         "--judges", *JUDGES, *SETTINGS, *weights],
        ["study", str(out), *STUDY],
        ["propose-prior", str(out), "--photos", str(photos), "--files", *held_out, *weights],
        ["report", str(out), "--title", "The shipped priors compared"],
    ]  # fmt: skip


def document(report: Report) -> str:
    """The figures of a comparison's report.json as Markdown."""
    blocks = [*_settings(report), *_standings(report), *_degradations(report), *_mixture(report), *_votes(report)]
    return "# Quality models compared: the figures\n\n" + "\n".join(blocks)


def _settings(report: Report) -> Iterator[str]:
    plan, group = report["plan"], report["groups"][0]
    names = _list([Path(one["name"]).stem for one in report["photographs"]])
    yield (
        "This file is written by `python -m tools.benchmarks.comparison --photos DIR`, which runs the commands of "
        "[compare.md](compare.md); do not edit it.\n\n"
        f"{len(report['photographs'])} photographs that nothing was trained on ({names}), central squares at "
        f"{plan['size']} px, {' and '.join(plan['degradations'])}, level {', '.join(map(str, plan['levels']))} of "
        f"`{plan['fidelity']}`, {plan['iterations']} iterations, {plan['steps']} solver steps of strength "
        f"{plan['strength']}; {group['conditions']} of {len(report['photographs']) * len(plan['degradations'])} starts "
        f"were brought within {100 * plan['tolerance']:.0f} % of the level by all models and count. "
        f"{', '.join(f'{name} {version}' for name, version in report['software'].items())}.\n"
    )
    prints = ", ".join(f"`{one['spec']}` {one['fingerprint'][:8]}" for one in report["facts"])
    yield f"Fingerprints of the weights: {prints}; diffusion model {report['engine'][:8]}.\n"


def _points(mean: float | None, error: float | None) -> str:
    if mean is None:
        return ""
    return f"{mean:+.1f}" + ("" if error is None else f" ± {error:.1f}")


def _standings(report: Report) -> Iterator[str]:
    group, models, judges = report["groups"][0], report["models"], report["judges"]
    yield "## Who gains by whom\n"
    if not group["conditions"]:
        yield "No start was brought to one fidelity by all models: nothing can be said.\n"
        return
    yield (
        "Gain over the start in points with standard errors over photographs; rows optimised by, columns judged by; "
        "italic: a judge that shares a network with the model, which proves nothing.\n"
    )
    body = []
    for row, model in enumerate(models):
        cells = [
            _points(group["gains"]["mean"][row][column], group["gains"]["error"][row][column])
            for column in range(len(judges))
        ]
        cells = [f"*{cell}*" if kin else cell for cell, kin in zip(cells, report["related"][row], strict=True)]
        totals = [_points(group[name]["mean"][row], group[name]["error"][row]) for name in ("others", "cost")]
        changes = [f"{group['measures']['psnr'][row]:+.2f}", f"{group['measures']['ssim'][row]:+.3f}"]
        body.append([model, *cells, *totals, *changes])
    head = ["", *judges, "unrelated judges' mean", "unconfirmed for each 0.01 of D", "PSNR, dB", "SSIM"]
    yield table(head, body)
    yield _sentences(report) + "\n"


def _sentences(report: Report) -> str:
    """What the table says, as far as its standard errors carry."""
    group, models = report["groups"][0], report["models"]
    gains, errors = group["others"]["mean"], group["others"]["error"]
    sure = [number for number in range(len(models)) if errors[number] is not None and gains[number] is not None]
    liked = [models[number] for number in sure if gains[number] > 2 * errors[number]]
    disliked = [models[number] for number in sure if gains[number] < -2 * errors[number]]
    order = sorted(range(len(models)), key=lambda number: -group["fooled"]["mean"][number])
    words = [
        f"By more than two standard errors the unrelated judges like the outputs of {_list(liked)} better than the "
        f"start, and those of {_list(disliked)} less.",
        f"Most of its own gain is confirmed by nobody for {models[order[0]]} "
        f"({group['fooled']['mean'][order[0]]:.1f} of {group['own']['mean'][order[0]]:.1f} points), least for "
        f"{models[order[-1]]} ({group['fooled']['mean'][order[-1]]:.1f} of {group['own']['mean'][order[-1]]:.1f}).",
    ]
    for name, label in (("psnr", "PSNR"), ("ssim", "SSIM")):
        rising = [models[number] for number, value in enumerate(group["measures"][name]) if value and value > 0]
        words.append(f"Against the undegraded photographs {label} rises on average for {_list(rising)}.")
    return " ".join(words)


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _degradations(report: Report) -> Iterator[str]:
    groups = [one for one in report["groups"] if one["degradation"] is not None and one["conditions"]]
    if not groups:
        return
    yield "By degradation: the unrelated judges' mean gain, and the changes of PSNR and SSIM against the undegraded.\n"
    body = [
        [
            one["degradation"], model, _points(one["others"]["mean"][row], one["others"]["error"][row]),
            f"{one['measures']['psnr'][row]:+.2f}", f"{one['measures']['ssim'][row]:+.3f}",
        ]
        for one in groups
        for row, model in enumerate(report["models"])
    ]  # fmt: skip
    yield table(["degradation", "optimised by", "unrelated judges' mean", "PSNR, dB", "SSIM"], body)


def _mixture(report: Report) -> Iterator[str]:
    found = report["mixture"]
    if found is None:
        return
    proposal, check = found["proposal"], found["check"]
    parts = ", ".join(f"{weight:.2f} `{name}`" for name, weight in proposal["parts"])
    yield "## A mixture\n"
    yield (
        f"`propose-prior` proposes {parts} (expected mean gain of the unrelated judges {proposal['expected']:+.1f}, "
        f"floor kept {proposal['floor']:.2f}; judges that no model pleased: {_list(proposal['displeased'])}). "
        f"**{found['verdict']}**\n"
    )
    if check is None:
        return
    names = _list([Path(name).stem for name in check["names"]])
    yield f"Checked on {check['photographs']} other photographs ({names}), {check['judging']}.\n"
    body = []
    for row in check["rows"]:
        judged = [_points(*pair) for pair in zip(row["judged"]["mean"], row["judged"]["error"], strict=True)]
        versus = "" if row["difference"] is None else f"{row['difference']:+.1f}"
        if row["low"] is not None:
            versus += f" ({row['low']:+.1f} to {row['high']:+.1f})"
        changes = [f"{row['measures']['psnr']:+.2f}", f"{row['measures']['ssim']:+.3f}"]
        body.append([row["name"], *judged, f"{row['gain']:+.1f}", versus, *changes])
    yield table(["", *check["judges"], "mean", "mixture less this (95 % interval)", "PSNR, dB", "SSIM"], body)


def _votes(report: Report) -> Iterator[str]:
    found = report["simulation"]
    if found is None:
        return
    yield "## Votes\n"
    yield (
        f"Votes until 90 % of the model pairs are in the right order, in {found['repeats']} simulated studies of "
        f"{found['pairs']} pairs, in steps of doubling. No people were asked.\n"
    )
    power = [simulation.Power(**row) for row in found["rows"]]
    most = max(one.votes for one in power)
    body = []
    for follows in sorted({one.follows for one in power}):
        needed = [simulation.votes_needed(power, strategy, follows) for strategy in STRATEGIES]
        body.append([str(follows), *(f"more than {most}" if votes is None else str(votes) for votes in needed)])
    yield table(["people see what the models part on (correlation)", *STRATEGIES], body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.comparison", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, default=Path("output/comparison"), help="default: output/comparison")
    parser.add_argument("--count", type=int, default=len(COMPARED), help="photographs to compare, and to check on")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help=f"default: {DOCUMENT}")
    options = parser.parse_args(arguments)
    for command in commands(options.photos, options.out, options.count):
        code = dmap(command)
        if code:
            return code
    report = json.loads((options.out / "report.json").read_text(encoding="utf-8"))
    options.document.write_text(document(report), encoding="utf-8")
    print(options.document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
