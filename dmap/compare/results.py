"""A comparison's folder as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from .. import jsonfile
from ..errors import UserError
from ..fingerprint import digest
from ..priors import maps
from ..priors.catalogue import kinship as catalogue
from ..priors.maps import FittedMap
from . import kinship
from .folder import Cell, Folder, Input
from .measures import MEASURES, RESEMBLANCE
from .plan import Plan

Array = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Chosen = npt.NDArray[np.intp]
LEAST_DEVIATION = 1.0
"""Points; a judge that hardly tells the starts apart is not magnified beyond this."""


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
        parts: the priors that each judge is made of.
        cosines: (judges, judges) mean cosines of gradients over the starts, NaN where they were not measured.
        scales: of each judge, what its scale was fitted to; "" where nobody fitted it.
        conditions: all of the plan, finished or not.
        scores: (conditions, models, judges) in points of each judge's scale, 0 to 100; NaN where missing.
        start: (conditions, judges) of the decoded photograph before any change.
        photograph: (conditions, judges) of the photograph itself.
        measures: name -> (conditions, models) against the undegraded photograph, NaN where there is none; and
            ``start_measures`` of the start.
        resemblance: name -> (conditions, models) to the photograph that was given: fidelity by other measures.
    """

    index: Mapping[str, Any]
    plan: Plan
    names: list[str]
    judges: list[str]
    parts: list[set[str]]
    conditions: list[Condition]
    cosines: Array
    scales: list[str]
    scores: Array
    start: Array
    photograph: Array
    measures: dict[str, Array] = field(default_factory=dict)
    start_measures: dict[str, Array] = field(default_factory=dict)
    resemblance: dict[str, Array] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """Stands for how ascents were made, whatever was compared: studies and checks carry it."""
        return digest([self.plan.method(), self.index["engine"]])

    @property
    def identity(self) -> str:
        """What studies of earlier versions carry in place of ``method``; it changes when a model is added."""
        climbed = [model["fingerprint"] for model in self.index["models"][: len(self.names)]]
        return digest([self.plan.method(), self.index["engine"], climbed])

    @property
    def prints(self) -> dict[str, str]:
        """Fingerprints of the models compared, by name: with ``method`` all that decides their outputs."""
        models = self.index["models"][: len(self.names)]
        return {name: str(model["fingerprint"]) for name, model in zip(self.names, models, strict=True)}

    @cached_property
    def counted(self) -> Booleans:
        """(conditions, models): whether an output is there, at the wanted fidelity, and fully judged."""
        matched = [[cell is not None and cell.matched for cell in one.cells] for one in self.conditions]
        # A stop may come between a cell and its scores.
        judged = np.asarray(np.isfinite(self.scores + self.start[:, None]).all(axis=2))
        result: Booleans = np.array(matched, dtype=bool).reshape(judged.shape) & judged
        return result

    @cached_property
    def gains(self) -> Array:
        """(conditions, models, judges): how much a judge's score rose from the start; NaN for what does not count."""
        return np.where(self.counted[..., None], self.scores - self.start[:, None, :], np.nan)

    @cached_property
    def deviation(self) -> Array:
        """(judges,): standard deviation of each judge's scores over photographs and starts, before any ascent.

        At least ``LEAST_DEVIATION``; NaN with fewer than two photographs.
        """
        first = list({one.input.key: number for number, one in enumerate(self.conditions)}.values())
        if len({one.input.photograph for one in self.conditions}) < 2:
            return np.full(len(self.judges), np.nan)
        known = np.concatenate([self.start[first], self.photograph[first]])
        found: Array = np.nanstd(known, axis=0, ddof=1)
        return np.maximum(found, LEAST_DEVIATION)

    @cached_property
    def kin(self) -> Booleans:
        """(judges, judges): whether two share weights or a backbone, or their gradients agree; see ``kinship``."""
        named = np.array([[catalogue.related(mine, other) for other in self.parts] for mine in self.parts], dtype=bool)
        with np.errstate(invalid="ignore"):
            result: Booleans = named | (self.cosines > kinship.CLOSE)
        return result

    @property
    def related(self) -> Booleans:
        """(models, judges): whether a judge is the model itself or its kin, and so proves nothing."""
        return self.kin[: len(self.names)]

    @cached_property
    def common(self) -> list[int]:
        """The judges that are kin of no model compared: those that can judge all models alike."""
        return np.flatnonzero(~self.related.any(axis=0)).tolist()

    def select(self, degradation: str | None = None, level: float | None = None) -> Chosen:
        """Indices of the conditions in which a model's output counts, of one degradation and level if named."""
        counted = np.asarray(self.counted.any(axis=1))
        return np.array(
            [
                number
                for number, condition in enumerate(self.conditions)
                if counted[number]
                and degradation in (None, condition.input.degradation)
                and level in (None, condition.level)
            ],
            dtype=np.intp,
        )

    def photographs(self, chosen: Chosen) -> list[str]:
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
        jsonfile.shaped(_Index, index)
        plan = Plan.from_json(index["plan"])
        prints = [model["fingerprint"] for model in index["models"]]
        judges = [model["spec"] for model in index["models"]]
        parts = [set(model["parts"]) for model in index["models"]]
        if judges != [*plan.priors, *plan.judges]:
            raise UserError("its models are not those of its plan")
    except UserError as error:
        raise UserError(f"{folder.path}: comparison.json is damaged ({error}); run the comparison again") from error
    conditions = _conditions(folder, plan, list(index["inputs"]), list(index["cells"]))
    shape = len(conditions), len(plan.priors)
    scores = np.full((*shape, len(judges)), np.nan)
    start, photograph = np.full((shape[0], len(judges)), np.nan), np.full((shape[0], len(judges)), np.nan)
    measures = {name: np.full(shape, np.nan) for name in (*MEASURES, *RESEMBLANCE)}
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
            for name in (*MEASURES, *RESEMBLANCE):
                measures[name][row, column] = found.get(name, np.nan)
    scales = []
    for column, fitted in enumerate(_fitted(folder, index["models"])):
        scales.append("" if fitted is None else fitted.source)
        for values in (scores[..., column], start[:, column], photograph[:, column]):
            values[...] = values if fitted is None else _rescaled(values, index["models"][column]["score_map"], fitted)
    resemblance = {name: measures.pop(name) for name in RESEMBLANCE}
    return Results(
        index, plan, list(plan.priors), judges, parts, conditions, _cosines(folder, conditions, prints), scales, scores,
        start, photograph, measures, start_measures, resemblance,
    )  # fmt: skip


def _fitted(folder: Folder, models: list[dict[str, Any]]) -> list[FittedMap | None]:
    """Each model's fitted map: of the comparison's own file, else of the pack's; None without one for these weights."""
    own = folder.path / maps.NAME
    known = {**maps.shipped(), **(maps.read(own) if own.is_file() else {})}
    found: list[FittedMap | None] = []
    for model in models:
        one = known.get(str(model["spec"]))
        # Folders of earlier versions do not say on which scale their scores are.
        found.append(one if one is not None and one.weights == model.get("weights") else None)
    return found


def _rescaled(values: Array, own: list[float] | None, fitted: FittedMap) -> Array:
    """A model's scores from its own map to the fitted one, by way of raw scores."""
    raw = values
    if own is not None:
        share = np.clip(values / 100, 1e-7, 1 - 1e-7)
        raw = np.log(share / (1 - share)) / own[1] + own[0]
    result: Array = 100 / (1 + np.exp(-np.clip(fitted.slope * (raw - fitted.midpoint), -500, 500)))
    return result


def _cosines(folder: Folder, conditions: list[Condition], prints: list[str]) -> Array:
    """(judges, judges) means of the cosines that were measured at the starts."""
    found = [folder.read_scores(f"{key}-cosines") for key in {one.input.key for one in conditions}]
    result = np.full((len(prints), len(prints)), np.nan)
    for one, first in enumerate(prints):
        for other, second in enumerate(prints):
            known = [row[kinship.pair(first, second)] for row in found if kinship.pair(first, second) in row]
            if known:
                result[one, other] = float(np.mean(known))
    return result


class _Photograph(TypedDict):
    name: str
    sha256: str
    height: int
    width: int


class _Skipped(TypedDict):
    name: str
    reason: str


class _Needed(TypedDict):
    spec: str
    fingerprint: str
    parts: list[str]
    licence: str
    source: str


class _Model(_Needed, total=False):
    weights: str
    score_map: tuple[float, float] | None


class _Index(TypedDict):
    """What a comparison's index holds besides its plan."""

    photographs: list[_Photograph]
    skipped: list[_Skipped]
    models: list[_Model]
    inputs: list[str]
    cells: list[str]
    engine: str
    software: dict[str, str]
    plan: dict[str, Any]


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
