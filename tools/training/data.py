"""Photographs as training material."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dmap.image.files import SUFFIXES, to_tensor

HELDOUT = Path(__file__).with_name("heldout.txt")


def heldout_names() -> set[str]:
    """File names that are never trained on."""
    lines = HELDOUT.read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def list_photos(folder: Path, heldout: bool) -> list[Path]:
    """The photographs of a folder, sorted: the held-out ones, or all others.

    Raises:
        ValueError: if there is none.
    """
    names = heldout_names()
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and (f.name in names) == heldout)
    if not files:
        raise ValueError(
            f"photos: {folder} holds no {'held-out ' if heldout else ''}photograph ({', '.join(SUFFIXES)})"
        )
    return files


def load_scaled(file: Path, factor: float) -> Tensor:
    """A photograph made smaller by ``factor`` with an area-correct filter, (3, h, w) uint8."""
    with Image.open(file) as image:
        size = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
        return to_tensor(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))


def load_all_scaled(files: Iterable[Path], factors: Sequence[float]) -> Iterator[Tensor]:
    """Every photograph at each scale, by several threads."""
    with ThreadPoolExecutor() as pool:
        yield from pool.map(lambda job: load_scaled(*job), [(file, factor) for file in files for factor in factors])


@dataclass
class Crops:
    """Random crops with detail, from photographs at several scales, with mirroring.

    Attributes:
        images: (3, h, w) uint8 each.
        generator: where all randomness comes from.
        least_detail: crops whose mean absolute difference of neighbours (0..255) is below this are drawn again.
    """

    images: Sequence[Tensor]
    generator: torch.Generator
    least_detail: float = 2.0

    @classmethod
    def load(cls, files: Iterable[Path], factors: Sequence[float], smallest: int, generator: torch.Generator) -> Crops:
        """Load photographs at each scale at which both sides are still at least ``smallest``."""
        images = [image for image in load_all_scaled(files, factors) if min(image.shape[1:]) >= smallest]
        if not images:
            raise ValueError(
                f"photos: none is large enough; sides of at least {smallest * min(factors):.0f} px are needed"
            )
        return cls(images, generator)

    def _integer(self, below: int) -> int:
        return int(torch.randint(below, (1,), generator=self.generator))

    def one(self, side: int) -> Tensor:
        """A crop (3, side, side) uint8; the last of eight draws is taken whatever its detail."""
        for _ in range(8):
            image = self.images[self._integer(len(self.images))]
            top, left = (self._integer(extent - side + 1) for extent in image.shape[1:])
            crop = image[:, top : top + side, left : left + side]
            values = crop.float()
            if float((values[:, :, 1:] - values[:, :, :-1]).abs().mean()) >= self.least_detail:
                break
        return crop.flip(2) if self._integer(2) else crop

    def batch(self, count: int, side: int) -> Tensor:
        """(count, 3, side, side) float32 in [0, 1]."""
        return torch.stack([self.one(side) for _ in range(count)]).float() / 255
