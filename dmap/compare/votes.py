"""Votes of a pairwise study: read, checked, and what is wrong with them said."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .folder import read_json
from .study import GOOD, Study, Trial

FORMAT, VERSION = "dmap-votes", 1
LARGEST = 20_000_000
ROW, SIDES = ("trial", "left", "right", "choice", "ms"), ("left", "right")
QUICKEST = 300
"""Milliseconds; a faster answer was no look at the images."""
LONGEST = 1e12
"""Milliseconds; thirty years."""
CATCH_SHARE = 0.75
"""Share of the catch trials that an observer has to answer right."""
SIDE_ODDS = 1e-3
"""An observer who presses one side more than chance would once in so many is reported."""


@dataclass(frozen=True)
class Vote:
    """An answer: which of the trial's models was preferred."""

    trial: Trial
    winner: str
    loser: str
    milliseconds: float


@dataclass(frozen=True)
class Observer:
    """One person's answers.

    Attributes:
        name: the code given.
        votes: on pairs, each once.
        catches: (right, all) of the catch trials.
        repeats: (same answer, all) of the pairs that were asked twice.
        left: share of answers for the left side.
    """

    name: str
    votes: tuple[Vote, ...]
    catches: tuple[int, int]
    repeats: tuple[int, int]
    left: float


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file or an observer; ``used`` says whether the rest was used all the same."""

    file: str
    text: str
    used: bool


def checksum(text: str) -> str:
    """FNV-1a with 64 bits of UTF-8 text, as the page computes it: it finds damage and careless edits, not forgery."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def canonical(content: dict[str, Any]) -> str:
    """What the checksum is of."""
    rows = ";".join(",".join(str(vote[key]) for key in ROW) for vote in content["votes"])
    return f"{content['study']}|{content['observer']}|{rows}"


def read(files: Iterable[Path], study: Study) -> tuple[list[Observer], list[Problem]]:
    """Read vote files; what cannot be used is left out and listed.

    A file is left out if it is unreadable, empty, of another study or version, or changed after it was saved; an
    observer who failed the catch trials is left out too. Answers that came too fast are dropped one by one.
    """
    observers: dict[str, Observer] = {}
    problems: list[Problem] = []
    for file in sorted(files):
        try:
            observer, remarks = _observer(_content(file, study), study)
        except ValueError as error:
            problems.append(Problem(file.name, str(error), used=False))
            continue
        problems += [Problem(file.name, remark, used=True) for remark in remarks]
        right, total = observer.catches
        if total and right / total < CATCH_SHARE:
            text = f"observer {observer.name!r} answered {right} of {total} catch trials right"
            problems.append(Problem(file.name, text, used=False))
            continue
        other = observers.get(observer.name)
        if other is not None:
            text = f"observer {observer.name!r} has another file; the one with more votes is used"
            problems.append(Problem(file.name, text, used=False))
            if len(other.votes) >= len(observer.votes):
                continue
        observers[observer.name] = observer
    return list(observers.values()), problems


def _content(file: Path, study: Study) -> dict[str, Any]:
    if not file.is_file() or file.stat().st_size > LARGEST:
        raise UserError("it is no file, or far too large")
    if file.stat().st_size == 0:
        raise UserError("it is empty")
    content = read_json(file, "votes", "ask for the file again")
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise UserError("it is not a vote file of this version of the pack")
    if content.get("study") != study.id:
        raise UserError("it belongs to another study")
    votes = content.get("votes")
    if not isinstance(votes, list) or not votes:
        raise UserError("it holds no vote")
    for row in votes:
        missing = [name for name in ROW if name not in row] if isinstance(row, dict) else ROW
        if missing:
            raise UserError(f"a vote lacks {', '.join(missing)}")
    if "observer" not in content or content.get("checksum") != checksum(canonical(content)):
        raise UserError("it was changed after it was saved (its checksum is wrong)")
    return content


def _observer(content: dict[str, Any], study: Study) -> tuple[Observer, list[str]]:
    trials = {trial.id: trial for trial in study.trials}
    answers: dict[str, Vote] = {}
    remarks: list[str] = []
    sides: Counter[str] = Counter()
    quick = 0
    for row in content["votes"]:
        trial = trials.get(str(row["trial"]))
        sides_shown = [row["left"], row["right"]]
        if trial is None or sides_shown not in ([trial.a, trial.b], [trial.b, trial.a]) or row["choice"] not in SIDES:
            raise UserError(f"a vote on {row['trial']!r} does not fit the study")
        if trial.id in answers:
            raise UserError(f"there are two votes on {trial.id}")
        if isinstance(row["ms"], bool) or not isinstance(row["ms"], int | float) or not 0 <= row["ms"] <= LONGEST:
            raise UserError(f"the time of the vote on {trial.id} is no time")
        sides[row["choice"]] += 1
        models = (trial.model_a, trial.model_b)
        winner, loser = models if row[row["choice"]] == trial.a else models[::-1]
        if row["ms"] < QUICKEST:
            quick += 1
            continue
        answers[trial.id] = Vote(trial, winner, loser, float(row["ms"]))
    if quick:
        remarks.append(f"{quick} answers in under {QUICKEST} ms were dropped")
    name, total = str(content["observer"]), sum(sides.values())
    if _tail(max(sides.values()), total) < SIDE_ODDS:
        remarks.append(f"observer {name!r} chose the left side {sides['left']} of {total} times")
    catches = [vote.winner == GOOD for vote in answers.values() if vote.trial.kind == "catch"]
    if not catches and any(trial.kind == "catch" for trial in study.trials):
        remarks.append(f"observer {name!r} answered no catch trial, so nothing vouches for these answers")
    pairs = {_shown(vote.trial): vote for vote in answers.values() if vote.trial.kind == "pair"}
    twice = [
        pairs[_shown(vote.trial)].winner == vote.winner
        for vote in answers.values()
        if vote.trial.kind == "repeat" and _shown(vote.trial) in pairs
    ]
    if not pairs:
        raise UserError(f"observer {name!r} has no answer on a pair that counts")
    observer = Observer(
        name, tuple(pairs.values()), (sum(catches), len(catches)), (sum(twice), len(twice)), sides["left"] / total
    )
    return observer, remarks


def _shown(trial: Trial) -> frozenset[str]:
    """Both images: what makes a repeated trial the same."""
    return frozenset((trial.a, trial.b))


def _tail(most: int, total: int) -> float:
    """Two-sided chance that ``most`` or more of ``total`` fair coins fall on one side."""
    return min(1.0, 2 * sum(math.comb(total, k) for k in range(most, total + 1)) / 2**total)
