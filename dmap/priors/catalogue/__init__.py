"""What is known about pyiqa's no-reference metrics: facts by hand, and what was measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .. import maps
from ..logistic import LogisticMap
from ..weights import file_name
from .licences import UNKNOWN, licence_of
from .metrics import METRICS, Metric

PYIQA = "0.1.16"
"""The version that the catalogue describes."""
MEASURED_FILE = Path(__file__).with_name("measured.json")
LICENCE = "pyiqa: noncommercial (PolyForm Noncommercial 1.0.0 and NTU S-Lab 1.0)"
"""Of pyiqa's code, whatever the metric; the authors' own terms, ``licence_of``, apply as well."""

__all__ = [
    "LICENCE", "MEASURED_FILE", "METRICS", "PYIQA", "UNKNOWN",
    "Measurement", "Metric", "licence_of", "measured", "score_map",
]  # fmt: skip

USABLE, APPROXIMATE = "usable", "usable, approximate gradient"


@dataclass(frozen=True)
class Measurement:
    """What ``python -m dmap measure-priors`` found for one metric.

    Attributes:
        status: "usable", "usable, approximate gradient", or why it is not.
        parameters: of its networks; 0 for handcrafted metrics; None if it was not built.
        min_size: the smallest side in pixels that it scored; None if it scored nothing.
        files: addresses of its weight files, as pyiqa asks for them.
        own: relative disagreement of the gradient along its own direction with finite differences.
        leaning: the same along random directions that lean towards it.
        random: the same along random directions of all pixels alike, relative to the change expected there; None for
            metrics that know float32 only, which drowns it in rounding.
        real: whether it was measured with its own files, or needs none; otherwise with random weights.
        sees: shares of the pixels of square images of ``measure.SUPPORT_SIZES`` that its gradient reaches, with all the
            crops that it takes; empty if that was not measured.
    """

    status: str
    parameters: int | None = None
    min_size: int | None = None
    files: tuple[str, ...] = ()
    own: float | None = None
    leaning: float | None = None
    random: float | None = None
    real: bool = False
    sees: tuple[float, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it can be climbed."""
        return self.status in (USABLE, APPROXIMATE)

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names of its weight files."""
        return tuple(file_name(url) for url in self.files)


def measured(file: Path = MEASURED_FILE) -> dict[str, Measurement]:
    """What was measured, by metric."""
    rows = json.loads(file.read_text(encoding="utf-8"))["metrics"]
    lists = ("files", "sees")
    return {
        name: Measurement(**{**row, **{key: tuple(row.get(key, ())) for key in lists}}) for name, row in rows.items()
    }


def score_map(metric: Metric) -> LogisticMap:
    """From the metric's raw scores to the common scale: the map fitted to photographs, where the pack carries one.

    Else a guess, until ``python -m dmap fit-maps`` is run where the weights are: the ends of the metric's usual range
    become 2 and 98, best on top.
    """
    fitted = maps.shipped().get(f"pyiqa:{metric.name}")
    if fitted is not None:
        return fitted.logistic
    return LogisticMap.from_range(*metric.scale, metric.higher_better)
