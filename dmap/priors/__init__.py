"""The priors by name. A new one is one file here and one line below."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import UserError, no_choice
from . import guide, judge, nss, own, policy, priorfile, pyiqa_adapter, spectrum
from .base import CAREFUL, Prior, PriorInfo, check_gradient
from .compose import MixedPrior
from .logistic import LogisticMap
from .weights import NOWHERE, WeightStore

PRIORS: dict[str, Callable[[], Prior]] = {
    own.INFO.name: own.OwnQuality,
    guide.NAME: guide.Guide,
    policy.NAME: policy.Policy,
    nss.INFO.name: nss.NaturalStatistics,
    spectrum.INFO.name: spectrum.NaturalSpectrum,
}

JUDGES: dict[str, Callable[[], Prior]] = {judge.INFO.name: judge.OwnJudge}
"""Models that score and are never climbed."""

__all__ = [
    "CAREFUL",
    "JUDGES",
    "PRIORS",
    "Prior",
    "PriorInfo",
    "WeightStore",
    "check_gradient",
    "load_prior",
    "prior_names",
]


def prior_names(store: WeightStore = NOWHERE) -> list[str]:
    """Names to choose from: the pack's own, prior files, pyiqa's whether or not that is installed, and judges.

    A saved workflow thus stays valid everywhere; what is missing is said when the prior is loaded.
    """
    return [
        *PRIORS,
        *priorfile.names(store.folders),
        *pyiqa_adapter.names(store),
        *JUDGES,
    ]


def load_prior(name: str, store: WeightStore = NOWHERE, score_map: tuple[float, float] | None = None) -> Prior:
    """The prior of that name.

    Args:
        name: one of ``prior_names``.
        store: where weights and prior files are.
        score_map: (midpoint, slope) of another logistic map to the common scale than the store's (of a file that
            ``python -m dmap fit-maps`` wrote) or the catalogue's; the raw score that becomes 50, and the slope per unit
            of it, above 0 whatever the direction of the model.

    Raises:
        UserError: for an unknown name, or if it cannot be loaded here; says what to do.
    """
    prior = _load(name, store)
    fitted = store.maps().get(name) if name.startswith(pyiqa_adapter.PREFIX) else None
    if fitted is not None:
        prior = prior.on_scale(fitted.logistic)
    if score_map is not None:
        midpoint, slope = score_map
        if not slope > 0:
            raise UserError(f"slope: got {slope}; it must be above 0, the direction of {name} is known already")
        prior = prior.on_scale(LogisticMap(midpoint, slope if prior.info.higher_better else -slope))
    return prior


def _load(name: str, store: WeightStore) -> Prior:
    if name in PRIORS or name in JUDGES:
        return {**PRIORS, **JUDGES}[name]()
    if name.startswith(priorfile.PREFIX):
        content = priorfile.read(priorfile.find(name, store.folders))
        parts = [_load(part, store) for part, _ in content.parts]
        return MixedPrior(parts, [weight for _, weight in content.parts], content.mix, content.name)
    if name.startswith(pyiqa_adapter.PREFIX):
        return pyiqa_adapter.load(name, store)
    raise no_choice("name", name, prior_names(store))
