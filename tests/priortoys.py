"""The priors that the shared property tests run over, by name: the registry's, compositions, and some of pyiqa's."""

from __future__ import annotations

from collections.abc import Callable

from dmap.priors import PRIORS, Prior, load_prior
from dmap.priors.compose import MixedPrior, MultiScalePrior, RobustPrior
from dmap.priors.pyiqa_adapter import PyiqaPrior
from dmap.priors.random_weights import RandomFiles
from toys import SmoothnessPrior


def random_pyiqa(metric: str) -> Prior:
    return PyiqaPrior(metric, RandomFiles())


BUILDERS: dict[str, Callable[[], Prior]] = {
    **PRIORS,
    "smoothness": SmoothnessPrior,
    "mean": lambda: MixedPrior([SmoothnessPrior(), load_prior("dmap_quality")], [1, 3]),
    "softmin": lambda: MixedPrior([SmoothnessPrior(), load_prior("dmap_quality")], [1, 1], "softmin"),
    "multiscale": lambda: MultiScalePrior(SmoothnessPrior(), (1.0, 0.75)),
    "robust": lambda: RobustPrior(SmoothnessPrior(), views=2, shift=6),
    "cnniqa": lambda: random_pyiqa("cnniqa"),
    "deep": lambda: MixedPrior(
        [RobustPrior(MultiScalePrior(SmoothnessPrior()), 2, 4), MixedPrior([load_prior("dmap_quality")], [1])],
        [1, 2],
        "softmin",
    ),
    "nested": lambda: RobustPrior(MixedPrior([MultiScalePrior(SmoothnessPrior()), SmoothnessPrior()], [1, 1]), 1, 2),
    "hybrid": lambda: MixedPrior(
        [MultiScalePrior(random_pyiqa("cnniqa")), load_prior("dmap_nss"), RobustPrior(load_prior("dmap_spectrum"), 1)],
        [1, 1, 1],
    ),
}
APPROXIMATE: dict[str, Callable[[], Prior]] = {
    "niqe": lambda: random_pyiqa("niqe"),
    "brisque": lambda: random_pyiqa("brisque"),
    "approximate_mean": lambda: MixedPrior([random_pyiqa("niqe"), load_prior("dmap_quality")], [1, 1]),
}
"""Those of which the gradient leaves something out: every property but an exact gradient."""
