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
    "canyon-wren", "nc-toucan", "oakland-zoo-otters", "resnet-cat", "dev-initiatives-developer-mentoring-circle",
    "friends-by-aitzol-berasategi", "od-dog-human", "wp24-tourist-and-building", "arch-glass-steel-glass-steel-11",
    "arch-stone-facades-stone-facades-07", "sc-city", "wp24-windows", "blue-periwinkle", "lake-sherburne",
    "nc-vineyard", "tea-gardens", "bo-healthy-salad", "resnet-burger", "pg-piggy-bank", "sc-bakery",
)  # fmt: skip
HELD_OUT = (
    "cap-surfing", "casa-mila", "inc-dog", "nc-library", "the-spices-of-life", "roman-colosseum",
    "snow-capped-mountain", "lamp-toy-toy27",
)  # fmt: skip
PRIORS = ("dmap_quality", "dmap_guide", "dmap_policy", "dmap_nss", "dmap_spectrum")
JUDGES = ("pyiqa:piqe", "dmap_judge")
SETTINGS = (
    "--degradations", "mixed", "--levels", "0.04", "--size", "128", "--iterations", "8", "--steps", "2",
    "--searches", "6",
)  # fmt: skip
STUDY = ("--pairs", "40", "--simulate", "60")
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
        f"{plan['strength']}. Outputs within {100 * plan['tolerance']:.0f} % of the level count, of "
        f"{report['outputs']}: "
        f"{', '.join(f'`{name}` {count}' for name, count in zip(report['models'], group['starts'], strict=True))}. "
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
    yield "## What is shown\n"
    headline, *basis = report["verdict"]
    yield f"**{headline}** {' '.join(basis)}\n"
    if not group["conditions"]:
        return
    yield table(
        ["difference", "standard deviations (95 % interval)", "points", "judges for the first", "p", "p, Holm"],
        [_difference(one, models) for one in (*group["contrasts"], *group["against_start"])],
    )
    yield "## Who gains by whom\n"
    yield (
        "Gain over the start in points with standard errors over photographs; rows optimised by, columns judged by; "
        "italic: the model itself or its kin, which proves nothing; starred: kin of no model, the only judges that "
        "compare them.\n"
    )
    body = []
    for row, model in enumerate(models):
        cells = [
            _points(group["gains"]["mean"][row][column], group["gains"]["error"][row][column])
            for column in range(len(judges))
        ]
        body.append(
            [model, *(f"*{cell}*" if kin else cell for cell, kin in zip(cells, report["related"][row], strict=True))]
        )
    yield table(["", *(f"{judge} \\*" if judge in report["common"] else judge for judge in judges)], body)
    yield "What equal fidelity comes to by other measures, and the change against the undegraded photographs.\n"
    body = [
        [
            model, _points(group["others"]["mean"][row], group["others"]["error"][row]),
            _points(group["cost"]["mean"][row], group["cost"]["error"][row]),
            _number(group["offset"]["mean"][row], "{:+.1%}"),
            *(_number(group["resemblance"][name][row], form) for name, form in RESEMBLING.items()),
            *(_number(group["measures"][name][row], form) for name, form in CHANGING.items()),
        ]
        for row, model in enumerate(models)
    ]  # fmt: skip
    yield table(
        ["", "gain by common judges, points", "unconfirmed for each 0.01 of D", "D off the wanted, of the level",
         "PSNR to the photograph", "SSIM to it", "PSNR to the undegraded", "SSIM to it"],
        body,
    )  # fmt: skip


RESEMBLING = {"photograph_psnr": "{:.2f}", "photograph_ssim": "{:.3f}"}
CHANGING = {"psnr": "{:+.2f}", "ssim": "{:+.3f}"}


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _difference(one: Mapping[str, Any], models: Sequence[str]) -> list[str]:
    second = "the start" if one["second"] is None else models[one["second"]]
    ends = "" if one["low"] is None else f" ({one['low']:+.2f} to {one['high']:+.2f})"
    adjusted = f"**{one['adjusted']:.3f}**" if one["shown"] else f"{one['adjusted']:.3f}"
    return [
        f"{models[one['first']]} less {second}", f"{one['deviations']:+.2f}{ends}", f"{one['points']:+.1f}",
        f"{one['favour']} of {one['judges']}", f"{one['p']:.3f}", adjusted,
    ]  # fmt: skip


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _degradations(report: Report) -> Iterator[str]:
    groups = [one for one in report["groups"] if one["degradation"] is not None and one["conditions"]]
    if not groups:
        return
    yield "By degradation: the gain by the common judges, and the changes of PSNR and SSIM against the undegraded.\n"
    body = [
        [
            one["degradation"], model, _points(one["others"]["mean"][row], one["others"]["error"][row]),
            *(_number(one["measures"][name][row], form) for name, form in CHANGING.items()),
        ]
        for one in groups
        for row, model in enumerate(report["models"])
    ]  # fmt: skip
    yield table(["degradation", "optimised by", "gain by common judges", "PSNR, dB", "SSIM"], body)


def _mixture(report: Report) -> Iterator[str]:
    found = report["mixture"]
    if found is None:
        return
    proposal, check = found["proposal"], found["check"]
    parts = ", ".join(f"{weight:.2f} `{name}`" for name, weight in proposal["parts"])
    yield "## A mixture\n"
    yield (
        f"`propose-prior` proposes {parts} (expected gain by the common judges {proposal['expected']:+.1f}, "
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
        changes = [_number(row["measures"].get(name), form) for name, form in CHANGING.items()]
        p = _number(row["adjusted"], "{:.3f}")
        body.append([row["name"], *judged, _number(row["gain"], "{:+.1f}"), versus, p, *changes])
    yield table(
        ["", *check["judges"], "mean", "mixture less this (95 % interval)", "p, Holm", "PSNR, dB", "SSIM"], body
    )


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
        words = [f"more than {most}" if votes is None else str(votes) for votes in needed]
        body.append([str(follows), *words, simulation.claim(power, follows)])
    yield table(["people follow what the judges part on", *STRATEGIES, "over all numbers of votes"], body)


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
