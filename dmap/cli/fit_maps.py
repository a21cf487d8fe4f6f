"""``python -m dmap fit-maps``: quality models on one scale, fitted to real photographs."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import output
from ..compare import calibration, specs
from ..compare.inputs import read_folder
from ..errors import UserError
from ..priors import WeightStore, load_prior, maps
from . import common
from .compare import add_weights_argument

NAME = "fit-maps"
HELP = "Fit the maps from quality models' raw scores to one scale, by matching quantiles on degraded photographs."
LEAST = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="folder of photographs, 20 or more")
    parser.add_argument("--priors", nargs="+", required=True, metavar="PRIOR", help=f"the models, each {specs.HELP}")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE",
        help=f"where the maps go; those of other models in it are kept. {maps.NAME} in ComfyUI's models/iqa is used by "
        f"DMAP Load IQA Prior for pyiqa's models, {maps.NAME} in a comparison's folder by its report",
    )  # fmt: skip
    parser.add_argument("--files", nargs="*", default=[], metavar="NAME", help="only these photographs")
    parser.add_argument("--count", type=int, help="so many photographs at most")
    parser.add_argument(
        "--size", type=int, default=256, help="side of the central square in pixels; 0 keeps all (default: 256)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    add_weights_argument(parser)
    common.add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    output.check_place(options.out)
    common.check_seed(options.seed)
    device = common.device_of(options.device)
    found = maps.read(options.out) if options.out.exists() else {}
    photographs, skipped = read_folder(options.photos, options.size, 8, options.files, options.count)
    for one in skipped:
        print(f"skipped {one.name}: {one.reason}")
    if len(photographs) < LEAST:
        raise UserError(f"--photos: got {len(photographs)} usable photograph, at least {LEAST} are needed, better 20")
    store = WeightStore(tuple(options.weights))
    for name in options.priors:
        prior = specs.build(name, lambda one: load_prior(one, store))
        fitted = calibration.fit(prior.to(device), photographs, options.seed, options.size)
        found[name] = fitted
        maps.write(found, options.out)  # after each: a stop loses one model
        print(f"{name}: 50 at {fitted.midpoint:.4g}, slope {fitted.slope:.4g}, from {fitted.scores} scores")
    print(options.out)
    return 0
