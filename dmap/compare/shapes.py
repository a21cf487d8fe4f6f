"""What the files hold that are made of a comparison beside its results; their readers check them against this."""

from __future__ import annotations

from typing import Any, TypedDict

from .mixture import Proposal
from .ranking import Ranking
from .simulation import Power


class _Observer(TypedDict):
    name: str
    votes: int
    catches: tuple[int, int]
    repeats: tuple[int, int]
    left: float


class _Pair(TypedDict):
    photograph: str
    degradation: str
    level: float
    a: str
    b: str
    votes_a: float
    votes_b: float


class _Problem(TypedDict):
    file: str
    text: str
    used: bool


class _Ranking(TypedDict):
    study: str
    strategy: str
    overall: Ranking
    verdict: str
    degradations: dict[str, Ranking]
    agreement: float | None
    photographs: int
    pairs: list[_Pair]
    resampled: str
    observers: list[_Observer]
    problems: list[_Problem]


class _Simulation(TypedDict):
    pairs: int
    repeats: int
    rows: list[Power]


class _Judged(TypedDict):
    mean: list[float]
    error: list[float | None]


class _Row(TypedDict):
    name: str
    gain: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    adjusted: float | None
    judged: _Judged
    measures: dict[str, float]


class _Check(TypedDict):
    rows: list[_Row]
    photographs: int
    names: list[str]
    judges: list[str]
    judging: str
    verdict: str


class _Mixture(TypedDict):
    proposal: Proposal
    verdict: str
    check: _Check | None


SHAPES: dict[str, Any] = {"ranking": _Ranking, "simulation": _Simulation, "mixture": _Mixture}
"""By the kinds of ``parts.PARTS``."""
