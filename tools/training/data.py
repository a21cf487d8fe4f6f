"""Photographs as training material."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dmap.errors import UserError
from dmap.image.files import FAULTS, FORMATS, SUFFIXES, centre_crop, to_tensor

HELDOUT = Path(__file__).with_name("heldout.txt")
RESERVE = Path(__file__).with_name("reserve.txt")


def _lines(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def heldout_names() -> set[str]:
    """File names of the first held-out photographs; every other one of them, sorted, is for tuning."""
    return set(_lines(HELDOUT))


@dataclass(frozen=True)
class Reserved:
    """A photograph of the second lot that is never trained on.

    Attributes:
        name: its file's.
        tuning: whether settings may be tuned on it; if not, it only reports.
        face: centre (x, y) and side of a square around a face, as shares of width, height and width; None without one.
    """

    name: str
    tuning: bool
    face: tuple[float, float, float] | None

    def crop(self, folder: Path, side: int) -> Tensor:
        """The square around the face, or else the largest centred one, (3, side, side) in [0, 1]."""
        if self.face is None:
            return centre_crop(folder / self.name, side)
        with Image.open(folder / self.name, formats=FORMATS) as image:
            x, y, share = self.face
            edge = min(round(share * image.width), *image.size)
            left = min(max(0, round(x * image.width - edge / 2)), image.width - edge)
            top = min(max(0, round(y * image.height - edge / 2)), image.height - edge)
            square = image.convert("RGB").crop((left, top, left + edge, top + edge))
            return to_tensor(square.resize((side, side), Image.Resampling.LANCZOS)).float() / 255


def reserve() -> list[Reserved]:
    """The second lot's photographs that are set apart, in the file's order: faces first."""
    found = []
    for line in _lines(RESERVE):
        name, role, *numbers = line.split()
        x, y, share = (float(number) for number in numbers) if numbers else (0.0, 0.0, 0.0)
        found.append(Reserved(name, role == "tune", (x, y, share) if numbers else None))
    return found


def list_photos(folder: Path, heldout: bool) -> list[Path]:
    """The photographs of a folder, sorted: the first held-out ones, or all that may be trained on.

    Raises:
        UserError: if there is none.
    """
    if not folder.is_dir():
        raise UserError(f"photos: {folder} is not a folder")
    held, apart = heldout_names(), {one.name for one in reserve()}
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.name not in apart)
    files = [file for file in files if (file.name in held) == heldout]
    if not files:
        raise UserError(f"photos: {folder} holds no {'held-out ' if heldout else ''}photograph ({', '.join(SUFFIXES)})")
    return files


def load_scaled(file: Path, factor: float) -> Tensor:
    """A photograph made smaller by ``factor`` with an area-correct filter, (3, h, w) uint8."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            size = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
            return to_tensor(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    except FAULTS as error:
        raise UserError(f"photos: {file} cannot be read as a picture ({error}); take it out") from error


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
            raise UserError(
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
