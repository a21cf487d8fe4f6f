"""What is compared, and how every model is driven."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .. import jsonfile
from ..errors import UserError, number_between
from ..method.fidelity import FIDELITIES
from ..method.rules import RULES
from ..method.solvers import SOLVERS
from ..models.spaces import SPACES, settings_in
from ..settings import Settings
from .inputs import DEGRADATIONS

# What decides an optimised image beside the photograph, the prior and the level.
METHOD = (
    "tolerance", "searches", "size", "fidelity", "fidelity_weight", "iterations", "rule", "step_size", "shift",
    "seed", "solver", "steps", "strength",
)  # fmt: skip


NEVER = 200.0
"""A target score that is never reached: every ascent spends its whole budget."""
LATER = ("fixed_weight", "target_score", "space")
"""Fields that earlier versions did not have: plans without them mean their defaults."""


@dataclass(frozen=True)
class Plan:
    """Settings of a comparison; the same for every model, save for the prior weight that is searched.

    Attributes:
        priors: the models compared, as ``specs.build`` reads them; at least two.
        judges: further models that only judge.
        degradations: names out of ``DEGRADATIONS``; "none" takes photographs as they are.
        levels: how far the outputs may go from the photograph: the target of the fidelity D is D of the start (the
            decoded photograph before any change) plus this.
        tolerance: of that target, as a share of the level.
        searches: ascents that the search for a prior weight may take, a cell.
        size: side of the central square in pixels; 0 keeps photographs as they are, cut to the autoencoder's grid.
        fidelity, fidelity_weight, iterations, rule, step_size, shift, seed: of the ascent, see ``Objective`` and
            ``AscentSettings``; by default the nodes' own. It never stops early, so that all spend the same.
        solver, steps, strength: of the inversion.
        fixed_weight: prior weight of every ascent, the same for all models, as in the paper; every output then counts,
            however far it went, and ``levels``, ``tolerance`` and ``searches`` mean nothing. 0 searches a weight for
            each model and start.
        target_score: an ascent stops where its own model's score reaches it; ``NEVER`` if all are to spend the same.
        space: where ascents move, one of ``SPACES``.
    """

    priors: tuple[str, ...]
    judges: tuple[str, ...] = ()
    degradations: tuple[str, ...] = ("none",)
    levels: tuple[float, ...] = (0.05,)
    tolerance: float = 0.1
    searches: int = 8
    size: int = 256
    fidelity: str = Settings.fidelity
    fidelity_weight: float = Settings.fidelity_weight
    iterations: int = Settings.iterations
    rule: str = Settings.rule
    step_size: float = Settings.step_size
    shift: int = Settings.shift
    seed: int = Settings.seed
    solver: str = Settings.solver
    steps: int = Settings.steps
    strength: float = Settings.strength
    fixed_weight: float = 0.0
    target_score: float = NEVER
    space: str = SPACES[0]

    def __post_init__(self) -> None:
        if len(self.priors) < 2:
            raise UserError(
                f"priors: got {len(self.priors)}, a comparison needs at least two; add another quality model"
            )
        named = [*self.priors, *self.judges]
        if len(set(named)) != len(named):
            raise UserError(f"priors: one is named twice in {', '.join(named)}; name each model once")
        for name, values, known in (
            ("degradations", self.degradations, DEGRADATIONS),
            ("fidelity", (self.fidelity,), FIDELITIES),
            ("rule", (self.rule,), RULES),
            ("solver", (self.solver,), SOLVERS),
            ("space", (self.space,), SPACES),
        ):
            unknown = [value for value in values if value not in known]
            if unknown or not values or len(set(values)) != len(values):
                raise UserError(f"{name}: got {', '.join(values) or 'none'}; choose, each once, of {', '.join(known)}")
        if not self.levels or any(not (math.isfinite(level) and level > 0) for level in self.levels):
            raise UserError(f"levels: got {list(self.levels)[:8]}; give distances greater than 0, such as 0.05")
        if len(set(self.levels)) != len(self.levels):
            raise UserError(f"levels: one is given twice among {len(self.levels)}; give each once")
        if self.fixed_weight and len(self.levels) > 1:
            raise UserError(f"levels: got {len(self.levels)}; with a fixed prior weight there are none, give one")
        if not 0 < self.tolerance < 1:
            raise UserError(f"tolerance: got {self.tolerance}; give a share of the level between 0 and 1")
        number_between("searches", self.searches, 1, 1000, "6 to 10 are usual", whole=True)
        number_between("size", self.size, 0, 2**16, "256 is usual, 0 keeps whole photographs", whole=True)
        shared = ("fidelity_weight", "iterations", "step_size", "shift", "seed", "steps")
        Settings(**{name: getattr(self, name) for name in shared})  # their ranges
        if self.fidelity_weight <= 0:
            raise UserError(f"fidelity_weight: got {self.fidelity_weight}, it must be greater than 0")
        number_between("strength", self.strength, 0, 1, f"{Settings.strength} is the default")
        number_between("fixed_weight", self.fixed_weight, 0, 1e5, "0 searches one for each model, 1 is the paper's")
        number_between("target_score", self.target_score, 0, NEVER, f"90 is the paper's, {NEVER:g} is never reached")

    def settings(self) -> Settings:
        """Of every ascent: it begins at what the autoencoder gives back of the photograph.

        Raises:
            UserError: for a value out of range.
        """
        settings = Settings(
            solver=self.solver,
            steps=self.steps,
            strength=self.strength or Settings.strength,  # 0: a host's path has its own
            iterations=self.iterations,
            fidelity=self.fidelity,
            fidelity_weight=self.fidelity_weight,
            rule=self.rule,
            step_size=self.step_size,
            target_score=self.target_score,
            shift=self.shift,
            seed=self.seed,
            detail="0",
            clean="off",
            scale="absolute",
        )
        return settings_in(self.space, settings)

    def method(self) -> dict[str, Any]:
        """The settings that every cell shares; later fields only where they matter, so that old folders keep theirs."""
        later = [name for name in LATER if getattr(self, name) != getattr(type(self), name)]
        return {name: getattr(self, name) for name in (*METHOD, *later)}

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Plan:
        """Of ``to_json``'s result. Raises UserError if it is no plan."""
        if not isinstance(content, dict):
            raise UserError("plan: it is none")
        content = {**{name: getattr(cls, name) for name in LATER}, **content}
        if set(content) != (known := {field.name for field in fields(cls)}):
            raise UserError(f"plan: {', '.join(sorted(set(content) ^ known))} missing or unknown")
        return jsonfile.shaped(cls, content, "plan")
