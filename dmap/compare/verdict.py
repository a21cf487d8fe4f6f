"""What a comparison shows, in sentences: nothing is said to be better that no test shows to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .inference import LEVEL, photographs_needed, smallest_p
from .results import Chosen, Results
from .statistics import Contrast, Judging, contrasts, judging, over_judges

NOTHING = "No difference between the models is shown"
"""How the headline begins where no test comes out."""
MOST = 6
"""Pairs that the headline names."""


def verdict(results: Results, chosen: Chosen) -> list[str]:
    """The headline, then what it rests on.

    Pairs of models are compared by the mean preference of the judges of ``judging``, in their standard deviations, by
    paired sign-flip tests over photographs with Holm's correction over all pairs. A model leads if it is shown to be
    above every other one.
    """
    if len(chosen) == 0:
        return ["No start was brought to the wanted fidelity by any model, so nothing can be compared: see the record."]
    who = judging(results)
    if who.kind == "nobody":
        return [f"{NOTHING}, and none can be: some models share no judge but kin; add independent judges (--judges)."]
    pairs = contrasts(results, chosen)
    if not pairs:
        return [f"{NOTHING}: that takes several photographs on which two models reached the wanted fidelity."]
    return [_headline(results, chosen, pairs), _basis(results, who, pairs), _starts(results, chosen)]


def _headline(results: Results, chosen: Chosen, pairs: Sequence[Contrast]) -> str:
    names, tests = results.names, len(pairs)
    wins = [
        (one.first, one.second, one) if one.deviations > 0 else (one.second, one.first, one)
        for one in pairs
        if one.shown and one.second is not None
    ]
    if not wins:
        photographs = max(one.photographs for one in pairs)
        if smallest_p(photographs) * tests > LEVEL:
            needed = photographs_needed(tests)
            return (
                f"{NOTHING}, and with {photographs} photographs none could be: to tell {_pairs(tests)} of models apart "
                f"takes at least {needed}."
            )
        least = min(one.adjusted for one in pairs)
        return f"{NOTHING}: of {tests} pairs none is significant (least p {_p(least)}, adjusted)."
    for model in np.argsort(-over_judges(results, chosen, deviations=True).mean).tolist():
        if sum(winner == model for winner, _, _ in wins) == len(names) - 1:
            return f"{names[model]} leads: its outputs are judged better than those of every other model."
    wins.sort(key=lambda win: win[2].adjusted)
    words = [f"{names[winner]} above {names[loser]} (p {_p(one.adjusted)})" for winner, loser, one in wins[:MOST]]
    more = f" and {len(wins) - MOST} more" if len(wins) > MOST else ""
    return f"No model is shown to lead. Of {tests} pairs {len(wins)} are told apart: {'; '.join(words)}{more}."


def _basis(results: Results, who: Judging, pairs: Sequence[Contrast]) -> str:
    if who.kind == "common":
        names = ", ".join(results.judges[index] for index in who.judges)
        count = f"the {len(who.judges)} judges that are" if len(who.judges) > 1 else "the one judge that is"
        words = f"Judged by {count} kin of no model compared ({names})"
    else:
        words = (
            "Every judge is kin of some model, so each pair is judged by those that are kin of neither "
            f"({_span(one.judges for one in pairs)} of {len(results.judges)}), and means are those of a model of judge "
            "effects"
        )
    seen = _span(one.photographs for one in pairs)
    return (
        f"{words}, in each judge's standard deviation over the starts; paired sign-flip tests over {seen} photographs, "
        f"Holm's correction over {_pairs(len(pairs))}, level 5 %."
    )


def _starts(results: Results, chosen: Chosen) -> str:
    kinds: dict[str, list[str]] = {"better than the start": [], "worse than it": [], "not shown either way": []}
    for one in contrasts(results, chosen, start=True):
        better = "better than the start" if one.deviations > 0 else "worse than it"
        kinds[better if one.shown else "not shown either way"].append(results.names[one.first])
    words = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)
    return f"Each model against the start, by the same tests: {words or 'nothing is judged'}."


def _pairs(count: int) -> str:
    return f"{count} pair{'' if count == 1 else 's'}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "below 0.001"


def _span(values: Iterable[int]) -> str:
    """A number, or the least and the largest of several."""
    found = sorted(values)
    return " to ".join(map(str, dict.fromkeys((found[0], found[-1]))))
