"""Votes of a pairwise study: read, checked, and what is wrong with them said."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from .. import jsonfile
from ..errors import UserError
from .study import GOOD, Study, Trial

FORMAT, VERSION = "dmap-votes", 1
LARGEST = 20_000_000
ROW, SIDES, TIE = ("trial", "left", "right", "choice", "ms"), ("left", "right"), "tie"
QUICKEST = 300
"""Milliseconds; a faster answer was no look at the images."""
LONGEST = 1e12
"""Milliseconds; thirty years."""
CLICKER_ODDS = 0.02
"""Of passing the catch trials by pressing anything: so many have to be right that it happens no more often."""
REPEAT_ODDS = 0.2
"""An observer is reported whose repeated pairs were answered alike no more often than chance does with these odds."""
FEW_REPEATS = 4
"""Below this nothing is said about repeats."""
SIDE_ODDS = 1e-3
"""An observer who presses one side more than chance would once in so many is reported."""


@dataclass(frozen=True)
class Vote:
    """An answer: which of the trial's models was preferred; with ``tie`` neither, and the order means nothing."""

    trial: Trial
    winner: str
    loser: str
    milliseconds: float
    tie: bool = False


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
    for byte in text.encode("utf-8", "surrogatepass"):
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def canonical(content: dict[str, Any]) -> str:
    """What the checksum is of."""
    rows = ";".join(",".join(str(vote[key]) for key in ROW) for vote in content["votes"])
    return f"{content['study']}|{content['observer']}|{rows}"


def read(files: Iterable[Path], study: Study) -> tuple[list[Observer], list[Problem]]:
    """Read vote files; what cannot be used is left out and listed.

    A file is left out if it is unreadable, empty, of another study or version, or changed after it was saved; an
    observer who failed the catch trials is left out too. Answers that came too fast are dropped one by one, and an
    observer whose repeated pairs were answered alike no more often than by chance is reported.
    """
    observers: dict[str, Observer] = {}
    problems: list[Problem] = []
    for file in sorted(files):
        try:
            observer, remarks = _observer(_content(file, study), study)
        except (ValueError, OSError) as error:
            problems.append(Problem(file.name, str(error), used=False))
            continue
        problems += [Problem(file.name, remark, used=True) for remark in remarks]
        right, total = observer.catches
        needed = catches_needed(total)
        if needed is None and total:
            text = f"{total} catch trials cannot tell observer {observer.name!r} from someone who presses anything"
            problems.append(Problem(file.name, text, used=True))
        if right < (total if needed is None else needed):
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


class _Row(TypedDict):
    trial: str
    left: str
    right: str
    choice: str
    ms: float


class _Content(TypedDict):
    study: str
    observer: str
    checksum: str
    votes: list[_Row]


def _content(file: Path, study: Study) -> dict[str, Any]:
    if file.is_file() and file.stat().st_size == 0:
        raise UserError("it is empty")
    content = jsonfile.read(file, "votes", "ask for the file again", LARGEST)
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise UserError("it is not a vote file of this version of the pack")
    if content.get("study") != study.id:
        raise UserError("it belongs to another study")
    jsonfile.shaped(_Content, content)
    if not content["votes"]:
        raise UserError("it holds no vote")
    if content.get("checksum") != checksum(canonical(content)):
        raise UserError("it was changed after it was saved (its checksum is wrong)")
    return content


def _observer(content: dict[str, Any], study: Study) -> tuple[Observer, list[str]]:
    trials = {trial.id: trial for trial in study.trials}
    answers: dict[str, Vote] = {}
    remarks: list[str] = []
    sides: Counter[str] = Counter()
    quick = 0
    for row in content["votes"]:
        trial = trials.get(row["trial"])
        sides_shown = [row["left"], row["right"]]
        allowed = (*SIDES, TIE) if study.ties else SIDES
        if trial is None or sides_shown not in ([trial.a, trial.b], [trial.b, trial.a]) or row["choice"] not in allowed:
            raise UserError(f"a vote on {row['trial']!r} does not fit the study")
        if trial.id in answers:
            raise UserError(f"there are two votes on {trial.id}")
        if not 0 <= row["ms"] <= LONGEST:
            raise UserError(f"the time of the vote on {trial.id} is no time")
        tie = row["choice"] == TIE
        sides[row["choice"]] += 1
        models = (trial.model_a, trial.model_b)
        winner, loser = models if tie or row[row["choice"]] == trial.a else models[::-1]
        if row["ms"] < QUICKEST:
            quick += 1
            continue
        answers[trial.id] = Vote(trial, winner, loser, float(row["ms"]), tie)
    if quick:
        remarks.append(f"{quick} answers in under {QUICKEST} ms were dropped")
    name, total = str(content["observer"]), sides["left"] + sides["right"]
    if total and 2 * tail(max(sides["left"], sides["right"]), total) < SIDE_ODDS:
        remarks.append(f"observer {name!r} chose the left side {sides['left']} of {total} times")
    catches = [vote.winner == GOOD and not vote.tie for vote in answers.values() if vote.trial.kind == "catch"]
    if not catches and any(trial.kind == "catch" for trial in study.trials):
        remarks.append(f"observer {name!r} answered no catch trial, so nothing vouches for these answers")
    pairs = {_shown(vote.trial): vote for vote in answers.values() if vote.trial.kind == "pair"}
    twice = [
        _answer(pairs[_shown(vote.trial)]) == _answer(vote)
        for vote in answers.values()
        if vote.trial.kind == "repeat" and _shown(vote.trial) in pairs
    ]
    if len(twice) >= FEW_REPEATS and tail(sum(twice), len(twice)) > REPEAT_ODDS:
        remarks.append(
            f"observer {name!r} answered {sum(twice)} of {len(twice)} repeated pairs alike; by chance it is "
            f"{len(twice) / 2:g}"
        )
    if not pairs:
        raise UserError(f"observer {name!r} has no answer on a pair that counts")
    observer = Observer(
        name,
        tuple(pairs.values()),
        (sum(catches), len(catches)),
        (sum(twice), len(twice)),
        sides["left"] / max(total, 1),
    )
    return observer, remarks


def _shown(trial: Trial) -> frozenset[str]:
    """Both images: what makes a repeated trial the same."""
    return frozenset((trial.a, trial.b))


def _answer(vote: Vote) -> str | None:
    return None if vote.tie else vote.winner


def tail(most: int, total: int) -> float:
    """The chance that ``most`` or more of ``total`` fair coins fall on a named side."""
    return sum(math.comb(total, k) for k in range(most, total + 1)) / 2**total


def catches_needed(total: int) -> int | None:
    """How many of so many catch trials have to be right, see ``CLICKER_ODDS``; None if all right would not do."""
    return next((right for right in range(total + 1) if tail(right, total) <= CLICKER_ODDS), None)
