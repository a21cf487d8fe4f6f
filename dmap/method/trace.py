"""What happened in an ascent, iteration by iteration."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Row:
    """One iteration; lists hold one number an image.

    Attributes:
        iteration: 0 is the start, before any change.
        objective: J = lambda Q - w D.
        prior: Q on the common scale 0..100.
        fidelity: D, 0 = equal to the photograph.
        latent_norm: root mean square of the unit-variance latent; 1 at the start.
        seconds: since the ascent began.
        judge: the judge's score on the common scale; empty without a judge.
    """

    iteration: int
    objective: list[float]
    prior: list[float]
    fidelity: list[float]
    latent_norm: list[float]
    seconds: float
    judge: list[float] = field(default_factory=list)


@dataclass
class Trace:
    """All iterations of one ascent, its settings, and which iteration was best for each image."""

    rows: list[Row] = field(default_factory=list)
    settings: dict[str, str | int | float] = field(default_factory=dict)
    best_iteration: list[int] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    """Why each image stopped: "target", "judge", "iterations", "interrupt", or "running" if it was cut off."""
    photograph_prior: list[float] = field(default_factory=list)
    """The mapped prior's score of the input photograph itself."""

    memory: str = ""
    """What an iteration needs and what was done about it, for the log."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know, such as a lack of memory that was worked around."""

    def to_json(self) -> str:
        """The trace as JSON text."""
        return json.dumps(asdict(self))
