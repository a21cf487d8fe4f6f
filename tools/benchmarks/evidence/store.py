"""Judged restorations, kept on disk, so that a stopped run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from dmap.output import write_text

from .cells import Cells
from .judges import Judges
from .methods import Budget, Method, Tools, restore
from .tables import Row

Unit = tuple[str, str]
"""Folder and key of a piece of work."""
Units = dict[Unit, Callable[[], list[Row]]]
"""Pieces of work and how each is done."""


@dataclass(frozen=True)
class Store:
    """Rows by unit, one JSON file each, below a folder."""

    folder: Path

    def _file(self, unit: Unit) -> Path:
        return self.folder / unit[0] / f"{unit[1].replace(' ', '-')}.json"

    def __contains__(self, unit: Unit) -> bool:
        return self._file(unit).exists()

    def read(self, unit: Unit) -> list[Row]:
        """The rows of a unit that is done."""
        found: list[Row] = json.loads(self._file(unit).read_text(encoding="utf-8"))
        return found

    def write(self, unit: Unit, rows: list[Row]) -> None:
        """Keep the rows of a unit; a reader finds all of them or none."""
        file = self._file(unit)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(rows))

    def rows(self, key: str, compute: Callable[[], list[Row]]) -> list[Row]:
        """The kept rows of a key in the folder itself, or newly computed ones."""
        if ("", key) not in self:
            self.write(("", key), compute())
        return self.read(("", key))


class Workshop:
    """What the work needs, made when it is asked for first.

    Args:
        judge: of ``Judges``.
    """

    def __init__(self, judge: str) -> None:
        self._judge = judge
        self.tools = lru_cache(maxsize=None)(Tools.of)

    @cached_property
    def judges(self) -> Judges:
        """The judges."""
        return Judges(self._judge)

    def judged(self, prior: str, cells: Cells, method: Method, budget: Budget, columns: Row) -> list[Row]:
        """Restore a photograph's cells and measure each: one row a cell, with ``columns`` before the measures."""
        tools = self.tools(prior)
        done = restore(tools, cells.degraded, method, budget)
        rows: list[Row] = []
        for index, degradation in enumerate(cells.degradations):
            image, clean = done.image[index : index + 1], cells.clean[index : index + 1]
            row: Row = {"photo": cells.photo, "degradation": degradation, **columns}
            row.update(self.judges.measure(image, clean, tools.prior))
            row["seconds"] = done.seconds / len(cells.degradations)
            rows.append(row)
        return rows
