"""Logistic maps fitted to scores of real photographs, with what they were fitted to.

``python -m dmap fit-maps`` writes such a file. The pack carries one, ``maps.json``, of the models whose weights were at
hand; for others the command makes it where their weights are.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import jsonfile
from ..errors import UserError
from ..output import write_text
from .logistic import LogisticMap

FORMAT, VERSION, NAME = "dmap-maps", 1, "dmap_maps.json"
SHIPPED = Path(__file__).parent / "catalogue" / "maps.json"
LARGEST = 1_000_000


@dataclass(frozen=True)
class FittedMap:
    """A prior's map and its source.

    Attributes:
        midpoint, slope: of the ``LogisticMap``.
        weights: stands for the weights that the scores came from, see ``specs.weights_print``; "" for none.
        scores: how many it was fitted to.
        source: the images in words, with seed and size.
    """

    midpoint: float
    slope: float
    weights: str
    scores: int
    source: str

    @property
    def logistic(self) -> LogisticMap:
        """The map itself."""
        return LogisticMap(self.midpoint, self.slope)


def read(file: Path) -> dict[str, FittedMap]:
    """Fitted maps by the prior's name.

    Raises:
        UserError: if the file is missing, damaged, something else, or of another version.
    """
    content = jsonfile.read(file, "maps", "run 'python -m dmap fit-maps' again", LARGEST)
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise UserError(f"maps {file.name}: it is no file of this version's 'python -m dmap fit-maps'; make it again")
    try:
        found = jsonfile.shaped(dict[str, FittedMap], content.get("maps"), "maps")
        for one in found.values():
            _ = one.logistic
    except UserError as error:
        raise UserError(f"maps {file.name}: it is damaged ({error}); run 'python -m dmap fit-maps' again") from error
    return found


def write(maps: Mapping[str, FittedMap], file: Path) -> None:
    """Write a file of maps; a reader finds the old one or the whole new one."""
    rows: dict[str, Any] = {name: asdict(maps[name]) for name in sorted(maps)}
    text = json.dumps({"format": FORMAT, "version": VERSION, "maps": rows}, indent=1, allow_nan=False)
    write_text(file, text + "\n")


@functools.cache
def shipped() -> dict[str, FittedMap]:
    """The maps that come with the pack."""
    return read(SHIPPED)
