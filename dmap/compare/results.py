"""A comparison's folder as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .folder import Cell, Folder, Input
from .measures import MEASURES
from .plan import Plan, digest

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Condition:
    """One start and one fidelity: what all models were given alike.

    Attributes:
        input: the photograph and its degradation.
        level: how far outputs were to go.
        cells: one a model, None where it is not finished.
    """

    input: Input
    level: float
    cells: tuple[Cell | None, ...]

    @property
    def matched(self) -> bool:
        """Whether all models' outputs are there, at the wanted fidelity."""
        return all(cell is not None and cell.matched for cell in self.cells)


@dataclass(frozen=True)
class Results:
    """What a comparison found; conditions x models x judges.

    Attributes:
        index: of the folder.
        plan: the plan.
        names: of the models compared.
        judges: names of all that judge: the models first, then those that only judge.
        parts: the networks that each judge is made of.
        conditions: all of the plan, finished or not.
        scores: (conditions, models, judges) on the common scale, NaN where missing.
        start: (conditions, judges) of the decoded photograph before any change.
        photograph: (conditions, judges) of the photograph itself.
        measures: name -> (conditions, models) against the undegraded photograph, NaN where there is none; and
            ``start_measures`` of the start.
    """

    index: Mapping[str, Any]
    plan: Plan
    names: list[str]
    judges: list[str]
    parts: list[set[str]]
    conditions: list[Condition]
    scores: Array
    start: Array
    photograph: Array
    measures: dict[str, Array] = field(default_factory=dict)
    start_measures: dict[str, Array] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Stands for what was compared and how, whichever photographs: studies and checks made of it carry it."""
        climbed = [model["fingerprint"] for model in self.index["models"][: len(self.names)]]
        return digest([self.plan.method(), self.index["engine"], climbed])

    @property
    def gains(self) -> Array:
        """(conditions, models, judges): how much a judge's score rose from the start."""
        return self.scores - self.start[:, None, :]

    @property
    def related(self) -> npt.NDArray[np.bool_]:
        """(models, judges): whether a judge is the model itself or shares a network with it, and so proves nothing."""
        return np.array(
            [[not parts.isdisjoint(other) for other in self.parts] for parts in self.parts[: len(self.names)]]
        )

    def select(self, degradation: str | None = None, level: float | None = None) -> npt.NDArray[np.intp]:
        """Indices of the matched conditions, of one degradation and level if they are named."""
        return np.array(
            [
                number
                for number, condition in enumerate(self.conditions)
                if condition.matched
                and np.isfinite(self.scores[number]).all()  # a stop may come between a cell and its scores
                and np.isfinite(self.start[number]).all()
                and degradation in (None, condition.input.degradation)
                and level in (None, condition.level)
            ],
            dtype=np.intp,
        )

    def photographs(self, chosen: npt.NDArray[np.intp]) -> list[str]:
        """The photograph of each of these conditions."""
        return [self.conditions[number].input.photograph for number in chosen]


def load(folder: Folder) -> Results:
    """Read a comparison, finished or not.

    Raises:
        UserError: if there is none, it is damaged, or of another version.
    """
    index = folder.open(must_exist=True)
    assert index is not None
    try:
        plan = Plan.from_json(index["plan"])
        prints = [str(model["fingerprint"]) for model in index["models"]]
        judges = [str(model["spec"]) for model in index["models"]]
        parts = [{str(part) for part in model["parts"]} for model in index["models"]]
        _check_record(index)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{folder.path}: comparison.json is damaged ({error}); run the comparison again") from error
    conditions = _conditions(folder, plan, list(index["inputs"]), list(index["cells"]))
    shape = len(conditions), len(plan.priors)
    scores = np.full((*shape, len(judges)), np.nan)
    start, photograph = np.full((shape[0], len(judges)), np.nan), np.full((shape[0], len(judges)), np.nan)
    measures = {name: np.full(shape, np.nan) for name in MEASURES}
    start_measures = {name: np.full(shape[0], np.nan) for name in MEASURES}
    for row, condition in enumerate(conditions):
        key = condition.input.key
        before, untouched = folder.read_scores(f"{key}-start"), folder.read_scores(f"{key}-photograph")
        start[row] = [before.get(name, np.nan) for name in prints]
        photograph[row] = [untouched.get(name, np.nan) for name in prints]
        for name in MEASURES:
            start_measures[name][row] = before.get(name, np.nan)
        for column, cell in enumerate(condition.cells):
            found = {} if cell is None else folder.read_scores(cell.key)
            scores[row, column] = [found.get(name, np.nan) for name in prints]
            for name in MEASURES:
                measures[name][row, column] = found.get(name, np.nan)
    return Results(
        index, plan, list(plan.priors), judges, parts, conditions, scores, start, photograph, measures, start_measures
    )


def _check_record(index: Mapping[str, Any]) -> None:
    """Raise KeyError or TypeError unless the index names results, and holds what a report copies from it."""
    for kind, names in {
        "photographs": ("name", "sha256", "height", "width"),
        "skipped": ("name", "reason"),
        "models": ("spec", "fingerprint", "licence", "source"),
    }.items():
        for one in index[kind]:
            for name in names:
                one[name]
    dict(index["software"])
    keys = [*index["inputs"], *index["cells"], index["engine"]]
    if not all(isinstance(key, str) for key in keys):
        raise TypeError("a key that is no text")


def _conditions(folder: Folder, plan: Plan, input_keys: list[str], cell_keys: list[str]) -> list[Condition]:
    models, levels = len(plan.priors), len(plan.levels)
    if len(cell_keys) != len(input_keys) * levels * models:
        raise UserError(f"{folder.path}: comparison.json is damaged; run the comparison again")
    conditions = []
    for number, input_key in enumerate(input_keys):
        stored = folder.read_input(input_key)
        if stored is None:
            continue  # not begun yet
        for place, level in enumerate(plan.levels):
            first = (number * levels + place) * models
            found = [folder.read_cell(key) for key in cell_keys[first : first + models]]
            cells = tuple(None if cell is None else cell[1] for cell in found)
            conditions.append(Condition(stored[1], level, cells))
    return conditions
