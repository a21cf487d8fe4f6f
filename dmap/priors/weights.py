"""Where quality models' files are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WeightStore:
    """Folders with quality models' weights and prior files.

    Attributes:
        folders: searched in this order.
    """

    folders: tuple[Path, ...] = ()


NOWHERE = WeightStore()
"""No folder at all."""
