"""Judged restorations, kept on disk, so that a stopped run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from .cells import Cells
from .judges import Judges
from .methods import Budget, Method, Tools, restore
from .tables import Row


class Store:
    """Rows by key, one JSON file each.

    Args:
        folder: where the files lie.
        share: (i, n): of what is not there yet, compute only the i-th of n parts and return no rows for the others.
    """

    def __init__(self, folder: Path, share: tuple[int, int] = (0, 1)) -> None:
        self.folder, self.share = folder, share
        folder.mkdir(parents=True, exist_ok=True)

    def rows(self, key: str, compute: Callable[[], list[Row]]) -> list[Row]:
        """The kept rows of a key, or newly computed ones."""
        file = self.folder / f"{key.replace(' ', '-')}.json"
        if not file.exists():
            index, count = self.share
            if crc32(key.encode()) % count != index:
                return []
            part = file.with_suffix(".part")
            part.write_text(json.dumps(compute()), encoding="utf-8")
            part.replace(file)
        found: list[Row] = json.loads(file.read_text(encoding="utf-8"))
        return found


def judged(judges: Judges, tools: Tools, cells: Cells, method: Method, budget: Budget, columns: Row) -> list[Row]:
    """Restore a photograph's cells and measure each: one row a cell, with ``columns`` in front of the measures."""
    done = restore(tools, cells.degraded, method, budget)
    rows: list[Row] = []
    for index, degradation in enumerate(cells.degradations):
        image, clean = done.image[index : index + 1], cells.clean[index : index + 1]
        row: Row = {"photo": cells.photo, "degradation": degradation, **columns}
        row.update(judges.measure(image, clean, tools.prior))
        row["seconds"] = done.seconds / len(cells.degradations)
        rows.append(row)
    return rows
