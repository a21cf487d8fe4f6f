"""Group maximum differentiation (Ma et al., "Group MAD Competition", CVPR 2016) among the outputs of each start.

A defender calls two images alike, an attacker parts them as far as it can: if third parties see the difference too, the
defender is at fault, otherwise the attacker. Images are of one start, so that contents do not differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .results import Array, Results
from .statistics import mean_by, scale_of

ALIKE = 0.25
"""Standard deviations of the defender within which it calls two images alike."""
MOST = 12


@dataclass(frozen=True)
class Attack:
    """Two images of a start: the model ``better`` made the one that the attacker prefers; -1 stands for the start.

    Attributes:
        attacker, defender: indices of judges that are no kin.
        condition: which start.
        better, worse: models, -1 for the start itself; none is kin of attacker or defender.
        parted: how far the attacker parts them, in its standard deviations.
        alike: how far the defender does.
        confirmed: how far third judges, kin of none of these, prefer ``better``, in theirs; None without any.
    """

    attacker: int
    defender: int
    condition: int
    better: int
    worse: int
    parted: float
    alike: float
    confirmed: float | None


@dataclass(frozen=True)
class Competition:
    """What became of all attacks.

    Attributes:
        attacks: the strongest of each attacker on each defender.
        aggressiveness: (judges,) mean confirmation of the attacks of each, by photographs; NaN without any.
        resistance: (judges,) minus the mean confirmation of the attacks on each.
    """

    attacks: list[Attack]
    aggressiveness: Array
    resistance: Array


def compete(results: Results) -> Competition:
    """Every judge attacks every other one that is no kin of it, once on each photograph."""
    found = [one for condition in results.select().tolist() for one in _attacks(results, condition)]
    each: dict[tuple[int, int, str], Attack] = {}
    for one in found:
        key = one.attacker, one.defender, results.conditions[one.condition].input.photograph
        if key not in each or each[key].parted < one.parted:
            each[key] = one
    strongest: dict[tuple[int, int], Attack] = {}
    for one in each.values():
        key_ = one.attacker, one.defender
        if key_ not in strongest or strongest[key_].parted < one.parted:
            strongest[key_] = one
    judges = range(len(results.judges))
    known = [one for one in each.values() if one.confirmed is not None]
    aggressive = [_mean(results, [one for one in known if one.attacker == judge]) for judge in judges]
    resistant = [-_mean(results, [one for one in known if one.defender == judge]) for judge in judges]
    return Competition(
        sorted(strongest.values(), key=lambda one: -one.parted), np.array(aggressive), np.array(resistant)
    )


def _mean(results: Results, attacks: list[Attack]) -> float:
    """Mean confirmation, every photograph counting once."""
    values = np.array([one.confirmed for one in attacks], dtype=float)
    names = [results.conditions[one.condition].input.photograph for one in attacks]
    return float(mean_by(values, names).mean()) if len(values) else float("nan")


def _attacks(results: Results, condition: int) -> Iterator[Attack]:
    models = len(results.names)
    # (models + 1, judges) in standard deviations over the start; the last row is the start itself.
    images = np.vstack([results.gains[condition] / scale_of(results), np.zeros(len(results.judges))])
    there = [*np.flatnonzero(results.counted[condition]).tolist(), models]
    kin = results.kin
    for attacker in range(len(results.judges)):
        for defender in range(len(results.judges)):
            if kin[attacker, defender]:
                continue
            free = [one for one in there if one == models or not (kin[one, attacker] or kin[one, defender])]
            best: tuple[float, int, int] | None = None
            for better in free:
                for worse in free:
                    parted = float(images[better, attacker] - images[worse, attacker])
                    alike = abs(float(images[better, defender] - images[worse, defender]))
                    if alike <= ALIKE and parted > ALIKE and (best is None or parted > best[0]):
                        best = parted, better, worse
            if best is not None:
                yield _attack(results, condition, attacker, defender, images, best)


def _attack(
    results: Results, condition: int, attacker: int, defender: int, images: Array, found: tuple[float, int, int]
) -> Attack:
    parted, better, worse = found
    models = len(results.names)
    involved = [attacker, defender, *(one for one in (better, worse) if one < models)]
    third = np.flatnonzero(~results.kin[involved].any(axis=0))
    confirmed = float((images[better, third] - images[worse, third]).mean()) if len(third) else None
    alike = abs(float(images[better, defender] - images[worse, defender]))
    names = [one if one < models else -1 for one in (better, worse)]
    return Attack(attacker, defender, condition, names[0], names[1], parted, alike, confirmed)
