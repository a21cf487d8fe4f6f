"""The known degradations by name. A new one is one class and one line below."""

from __future__ import annotations

from .base import Degradation
from .blur import GaussianBlur, MotionBlur
from .compose import Composed
from .downscale import Downscale
from .inpaint import Inpaint
from .jpeg import JPEG

DEGRADATIONS: dict[str, type[Degradation]] = {
    Downscale.name: Downscale,
    GaussianBlur.name: GaussianBlur,
    MotionBlur.name: MotionBlur,
    JPEG.name: JPEG,
    Inpaint.name: Inpaint,
    Composed.name: Composed,
}

__all__ = [
    "DEGRADATIONS",
    "JPEG",
    "Composed",
    "Degradation",
    "Downscale",
    "GaussianBlur",
    "Inpaint",
    "MotionBlur",
]
