"""``python -m dmap compare``: quality models, by the images that they lead to."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import output
from ..batch import Serial
from ..compare import specs
from ..compare.engine import ModelEngine
from ..compare.folder import Folder
from ..compare.inputs import DEGRADATIONS, read_folder
from ..compare.plan import Plan
from ..compare.run import Comparison
from ..compare.run import Progress as CellProgress
from ..compare.work import CellRecipe
from ..method.fidelity import FIDELITIES
from ..method.rules import RULES
from ..method.solvers import SOLVERS
from ..models.spaces import SPACES
from ..priors import JUDGES, maps
from . import common

NAME = "compare"
HELP = "Compare quality models by the images that they lead to, all from one start and at one fidelity."

# Plan's numbers and what they are for.
_NUMBERS = {
    "tolerance": "of the fidelity, as a share of the level",
    "searches": "ascents at most to find a model's prior weight, for each cell",
    "size": "side of the central square in pixels; 0 keeps whole photographs",
    "fidelity_weight": "weight of the distance; the prior weight is searched against it",
    "iterations": "of every ascent",
    "step_size": "of the step rule",
    "shift": "random shift of the models' view in pixels",
    "seed": "of everything random",
    "steps": "solver steps",
    "strength": "how far into the noise to work, 0 to 1",
    "fixed_weight": "prior weight of every ascent, the same for all models, in place of a search; 0 searches",
    "target_score": "an ascent stops where its own model's score, 0 to 100, reaches it; 200 is never reached",
}
_CHOICES: dict[str, list[str]] = {
    "fidelity": list(FIDELITIES),
    "rule": list(RULES),
    "solver": list(SOLVERS),
    "space": list(SPACES),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="folder of photographs")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR",
        help="the comparison's folder; finished cells in it are kept, so the same command goes on after a stop",
    )  # fmt: skip
    parser.add_argument("--priors", nargs="+", required=True, metavar="PRIOR", help=f"at least two, each {specs.HELP}")
    parser.add_argument(
        "--judges", nargs="*", default=[], metavar="PRIOR",
        help=f"models that only judge; {', '.join(JUDGES)} too, which no prior uses",
    )  # fmt: skip
    parser.add_argument("--files", nargs="*", default=[], metavar="NAME", help="only these photographs")
    parser.add_argument("--count", type=int, help="so many photographs at most")
    parser.add_argument(
        "--degradations", nargs="+", default=["none"], metavar="KIND",
        help=f"of {', '.join(DEGRADATIONS)} (default: none, photographs as they are)",
    )  # fmt: skip
    default = Plan(priors=("a", "b"))
    parser.add_argument(
        "--levels", nargs="+", type=float, default=list(default.levels), metavar="D",
        help="how far from the photograph outputs may go, in fidelity units beyond the start (default: 0.05)",
    )  # fmt: skip
    add_weights_argument(parser)
    parser.add_argument(
        "--maps", type=Path, metavar="FILE",
        help="of 'python -m dmap fit-maps': the scales of the report, kept in the comparison's folder",
    )  # fmt: skip
    settings = parser.add_argument_group("settings, the same for all models")
    for name, text in _NUMBERS.items():
        value = getattr(default, name)
        settings.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"{text} (default: {value})"
        )
    for name, choices in _CHOICES.items():
        value = getattr(default, name)
        settings.add_argument(f"--{name}", choices=choices, default=value, help=f"(default: {value})")
    common.add_model_arguments(parser)
    common.add_executor_arguments(parser)
    common.add_device_arguments(parser)


def add_weights_argument(parser: argparse.ArgumentParser) -> None:
    """--weights."""
    parser.add_argument(
        "--weights", type=common.folder, nargs="*", default=[], metavar="DIR",
        help="folders with quality models' weights and prior files, such as ComfyUI's models/iqa",
    )  # fmt: skip


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan that the options describe."""
    return Plan(
        priors=tuple(options.priors),
        judges=tuple(options.judges),
        degradations=tuple(options.degradations),
        levels=tuple(options.levels),
        **{name: getattr(options, name) for name in (*_NUMBERS, *_CHOICES)},
    )


def run(options: argparse.Namespace) -> int:
    plan = plan_of(options)
    fitted = None if options.maps is None else maps.read(options.maps)
    output.check_new_folder(options.out)
    comparison = made(options, plan, options.out, options.photos, options.files, fitted)
    for warning in comparison.warnings():
        print(warning)
    print(f"{options.out}: finished; 'python -m dmap report {options.out}' shows it")
    return 0


def made(
    options: argparse.Namespace,
    plan: Plan,
    out: Path,
    photos: Path,
    files: Sequence[str] = (),
    fitted: Mapping[str, maps.FittedMap] | None = None,
    label: str = "comparing",
) -> Comparison:
    """A comparison, run or gone on with where and on which models the options say; ``run`` of it may raise.

    Args:
        options: of --weights, --count, and of the model's, the executor's and the device's.
        plan: what is compared.
        out: the comparison's folder.
        photos: folder of photographs.
        files: only these photographs; all if there are none.
        fitted: maps for the comparison's folder.
        label: of the progress.
    """
    folder = Folder(out)
    folder.open(must_exist=False)
    executor, choice = common.executor_of(options), common.model_of(options)
    # With other processes at work this one only knows the models by their weights, and needs no accelerator.
    device = common.device_of(options.device if isinstance(executor, Serial) else "cpu")
    engine = ModelEngine(choice, device, plan.space)
    models = specs.build_all(plan, options.weights, device)
    photographs, skipped = read_folder(photos, plan.size, engine.multiple, files, options.count)
    for one in skipped:
        print(f"skipped {one.name}: {one.reason}")
    comparison = Comparison(plan, folder, photographs, skipped, models, engine)
    if fitted is not None:
        maps.write(fitted, folder.path / maps.NAME)
    if comparison.finished:
        print(f"{comparison.finished} of {comparison.total} results are there already")
    recipe = CellRecipe(
        plan, str(out.absolute()), str(photos.absolute()), [str(one.absolute()) for one in options.weights], choice,
        comparison.software,
    )  # fmt: skip
    progress = common.Progress(comparison.total - comparison.finished, label)

    def show(state: CellProgress) -> None:
        # Every iteration on a terminal; elsewhere one line a cell.
        if progress.in_place or state.begins:
            progress.update(state.done - comparison.finished, state.text)

    try:
        comparison.run(show, executor, None if isinstance(executor, Serial) else recipe)
    finally:
        progress.close()
    return comparison
