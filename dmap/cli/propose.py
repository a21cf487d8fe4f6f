"""``python -m dmap propose-prior``: a mixture out of a comparison's models, checked on other photographs."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import output
from ..compare import mixture, parts, results, specs
from ..compare.engine import ModelEngine
from ..compare.folder import Folder
from ..compare.inputs import read_folder
from ..compare.run import Comparison
from ..compare.run import Progress as CellProgress
from ..errors import UserError
from ..models.choice import ModelChoice
from . import common
from .compare import add_weights_argument

NAME = "propose-prior"
HELP = "Propose a mixture of a comparison's models as a prior file, and check it on other photographs."
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,60}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("comparison", type=Path, metavar="DIR", help="folder of 'python -m dmap compare'")
    parser.add_argument(
        "--name", default="proposed", help="of the prior and its file, NAME.json (letters, digits, - and _)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER",
        help="where NAME.json goes (default: DIR); DMAP Load IQA Prior offers the files in ComfyUI's models/iqa",
    )  # fmt: skip
    parser.add_argument(
        "--floor", type=float, default=0.25,
        help="every judge is to keep this share of the largest gain that any model brought it (default: 0.25)",
    )  # fmt: skip
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="photographs for the check; those of the comparison are left out"
    )
    parser.add_argument(
        "--judges", nargs="*", default=[], metavar="PRIOR",
        help="further models that judge the check, beside the comparison's; best ones that share no network with it",
    )  # fmt: skip
    parser.add_argument("--files", nargs="*", default=[], metavar="NAME", help="only these photographs")
    parser.add_argument("--count", type=int, help="so many photographs at most")
    add_weights_argument(parser)
    common.add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    if not _PLAIN.fullmatch(options.name):
        raise UserError(f"--name: got {options.name!r}; use letters, digits, - and _ only")
    output.check_folder(options.out or options.comparison)
    found = results.load(Folder(options.comparison))
    proposal = mixture.propose(found, options.floor)
    words = ", ".join(f"{weight:.2f} {name}" for name, weight in proposal.parts)
    print(f"proposed: {words}; judges' mean gain expected {proposal.expected:+.1f}, floor kept {proposal.floor:.2f}")
    if proposal.displeased:
        print(f"no model pleased {', '.join(proposal.displeased)}: there is no floor for them")
    for name, reason in proposal.left_out.items():
        print(f"{name} is left out: {reason}")
    check: dict[str, Any] | None = None
    if len(proposal.parts) == 1:
        verdict = f"No mixture: {proposal.parts[0][0]} alone keeps the floors and pleases the judges most."
    else:
        file = (options.out or options.comparison) / f"{options.name}.json"
        mixture.write_prior(proposal, options.name, file)
        print(f"{file}: put it into ComfyUI's folder models/iqa")
        verdict = "Not checked: name other photographs with --photos to see whether the mixture beats its parts."
        if options.photos is not None:
            check = _check(options, found, proposal)
            verdict = check["verdict"]
    content = {"proposal": asdict(proposal), "verdict": verdict, "check": check}
    parts.write("mixture", content, found.method, found.prints, options.comparison / parts.PARTS["mixture"].place)
    print(verdict)
    return 0


def _check(options: argparse.Namespace, found: results.Results, proposal: mixture.Proposal) -> dict[str, Any]:
    device = common.device_of(options.device)
    engine = ModelEngine(ModelChoice(dtype=options.dtype), device, found.plan.space)
    names = tuple(name for name, _ in proposal.parts)
    mixed = mixture.spec(proposal)
    judges = tuple(name for name in dict.fromkeys((*found.judges, *options.judges)) if name not in names)
    plan = replace(found.plan, priors=(*names, mixed), judges=judges)
    photographs, skipped = read_folder(options.photos, plan.size, engine.multiple, options.files)
    used = {str(one["sha256"]) for one in found.index["photographs"]}
    photographs = [one for one in photographs if one.sha256 not in used][: options.count]
    if not photographs:
        raise UserError(f"--photos: {options.photos} holds no photograph that the comparison has not seen")
    models = specs.build_all(plan, options.weights, device)
    folder = Folder(options.comparison / "check")
    comparison = Comparison(plan, folder, photographs, skipped, models, engine)
    progress = common.Progress(comparison.total, "checking")

    def show(state: CellProgress) -> None:
        if progress.in_place or state.begins:
            progress.update(state.done, state.text)

    try:
        comparison.run(show)
    finally:
        progress.close()
    return mixture.check(results.load(folder), mixed, names)
