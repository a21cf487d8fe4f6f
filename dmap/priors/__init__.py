"""The priors by name. A new one is one file here and one line below."""

from __future__ import annotations

from collections.abc import Callable

from . import nss, own, pyiqa_adapter, spectrum
from .base import Prior, PriorInfo, check_gradient

PRIORS: dict[str, Callable[[], Prior]] = {
    own.INFO.name: own.OwnQuality,
    nss.INFO.name: nss.NaturalStatistics,
    spectrum.INFO.name: spectrum.NaturalSpectrum,
}

__all__ = ["PRIORS", "Prior", "PriorInfo", "check_gradient", "load_prior", "prior_names"]


def prior_names() -> list[str]:
    """Names to choose from: the pack's own first, then pyiqa's, listed whether or not pyiqa is installed.

    A saved workflow thus stays valid everywhere; what is missing is said when the prior is loaded.
    """
    return [*PRIORS, *(pyiqa_adapter.PREFIX + metric for metric in pyiqa_adapter.KNOWN)]


def load_prior(name: str) -> Prior:
    """The prior of that name.

    Raises:
        ValueError: for an unknown name, or if it cannot be loaded here; says what to do.
    """
    if name in PRIORS:
        return PRIORS[name]()
    if name.startswith(pyiqa_adapter.PREFIX):
        return pyiqa_adapter.PyiqaPrior(name.removeprefix(pyiqa_adapter.PREFIX))
    raise ValueError(f"name: got {name!r}, choose one of {', '.join(prior_names())}")
