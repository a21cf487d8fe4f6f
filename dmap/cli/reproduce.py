"""``python -m dmap reproduce``: the experiments of arXiv:2403.06406 as one report."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import __version__, output
from ..compare import experiments, parts, report, reproduction, results, specs, study
from ..compare.folder import Folder
from ..errors import UserError
from ..priors import WeightStore
from . import common
from .compare import add_weights_argument, made

NAME = "reproduce"
HELP = "Make the paper's experiments again: every table and figure in one report, and what is missing for them named."
CATCHES, REPEATS = 10, 6
"""Of the study that is prepared."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="folder of photographs")
    parser.add_argument(
        "--out", type=Path, default=Path("reproduction"), metavar="DIR",
        help="where everything goes; the same command goes on after a stop (default: reproduction)",
    )  # fmt: skip
    add_weights_argument(parser)
    parser.add_argument(
        "--priors", nargs="*", default=[], metavar="PRIOR",
        help=f"the models compared, each {specs.HELP} (default: those whose files are here of "
        f"{', '.join(experiments.EIGHT)}, and the shipped ones if fewer than two are)",
    )  # fmt: skip
    parser.add_argument(
        "--judges", nargs="*", default=[], metavar="PRIOR",
        help="models that only judge (default: dmap_judge, and pyiqa:piqe where pyiqa is installed)",
    )  # fmt: skip
    parser.add_argument(
        "--enhanced", type=Path, metavar="DIR",
        help="outputs of other enhancers, a folder for each: they are enhanced further",
    )  # fmt: skip
    parser.add_argument(
        "--scale", choices=list(experiments.SCALES),
        help="paper: the authors' released settings at 512 px, for a GPU; small: the same method on a part of the path "
        "and degraded photographs; quick: to see that it runs (default: paper with --checkpoint, else small)",
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="*", choices=experiments.NAMES, default=[], metavar="NAME",
        help=f"these experiments alone, of {', '.join(experiments.NAMES)}",
    )  # fmt: skip
    parser.add_argument("--count", type=int, help="so many photographs at most")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    common.add_model_arguments(parser)
    common.add_executor_arguments(parser)
    common.add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    common.check_seed(options.seed)
    output.check_new_folder(options.out)
    size = options.scale or ("small" if options.checkpoint is None else "paper")
    models = experiments.choose(options.priors, options.judges, WeightStore(tuple(options.weights)))
    absent = [*([experiments.CHECKPOINT] if options.checkpoint is None else []), *models.missing]
    for one in absent:
        print(f"missing: {one.model} needs {one.file} from {one.source}")
    scale = experiments.SCALES[size]
    planned = experiments.experiments(models, scale, options.photos, options.enhanced, options.seed)
    planned = [one for one in planned if not options.only or one.name.partition("/")[0] in options.only]
    sections: list[reproduction.Section] = []
    found: dict[str, results.Results] = {}
    for number, experiment in enumerate(planned, 1):
        label = f"{number} of {len(planned)}, {experiment.name}:"
        folder = Folder(options.out / experiment.name)
        try:
            made(options, experiment.plan, folder.path, experiment.photos, label=label)
            found[experiment.name] = results.load(folder)
            extra, _ = parts.collect(found[experiment.name], folder)
            page = report.write(found[experiment.name], folder, extra, experiment.title)
            link = page.relative_to(options.out).as_posix()
            sections.append(reproduction.section(experiment, found, link))
        except UserError as error:  # the others may still be made
            print(f"{experiment.name}: {error}")
            sections.append(reproduction.failed(experiment, str(error)))
        if experiment.name == experiments.EQUAL and experiment.name in found:
            sections.append(_study(options, found[experiment.name], folder, scale.pairs))
    if options.enhanced is None:
        print("--enhanced names no folder: post-enhancement of other enhancers' outputs is left out")
    facts = {
        "scale": size,
        "diffusion model": "the shipped one" if options.checkpoint is None else options.checkpoint.name,
        "climbed": ", ".join(models.climbed),
        "judges": ", ".join(models.judges),
        "mixtures": "; ".join(models.mixed),
        "post-enhancement": "left out, --enhanced named no folder" if options.enhanced is None else "done",
        "settings": ", ".join(f"{key} {value}" for key, value in scale.settings.items()),
        "seed": str(options.seed),
        "comfyui-dmap": __version__,
    }
    print(reproduction.write(options.out, sections, absent, facts))
    return 1 if any(one.failed for one in sections) else 0


def _study(options: argparse.Namespace, found: results.Results, folder: Folder, pairs: int) -> reproduction.Section:
    """The study out of the outputs at equal fidelity; one that is there stays, for votes may have been gathered."""
    place = folder.path / "study"
    try:
        if (place / study.KEY).is_file():
            key = study.read_key(place / study.KEY)
        else:
            key = study.make(found, folder, place, pairs, CATCHES, REPEATS, "debiased", options.seed)
    except UserError as error:
        return reproduction.study("", 0, str(error))
    return reproduction.study((place / study.PAGE).relative_to(options.out).as_posix(), len(key.trials))
