"""What is restored: held-out photographs, each degraded in some of the known ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg, resample
from dmap.image.files import centre_crop
from tools.training.data import list_photos
from tools.training.draw import OtherDegrader

SIDE = 256


def _grain(image: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    noisy = OtherDegrader(generator).photon_noise(image, photons)
    return jpeg(noisy.clamp(0, 1), 85)


def _mixed(image: Tensor, blur: float, noise: float, quality: int, generator: torch.Generator) -> Tensor:
    return jpeg(gaussian_noise(gaussian_blur(image, blur), noise / 255, generator), quality)


# Six kinds at two strengths. The prior never saw "grain" (photon noise and JPEG) in training.
DEGRADATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "blur 0.8": lambda x, _: gaussian_blur(x, 0.8),
    "noise 10": lambda x, g: gaussian_noise(x, 10 / 255, g),
    "jpeg 40": lambda x, _: jpeg(x, 40),
    "small 1.5": lambda x, _: resample(x, 1.5),
    "mixed weak": lambda x, g: _mixed(x, 0.6, 6, 60, g),
    "grain weak": lambda x, g: _grain(x, 400, g),
    "blur 1.6": lambda x, _: gaussian_blur(x, 1.6),
    "noise 25": lambda x, g: gaussian_noise(x, 25 / 255, g),
    "jpeg 15": lambda x, _: jpeg(x, 15),
    "small 2.5": lambda x, _: resample(x, 2.5),
    "mixed strong": lambda x, g: _mixed(x, 1.0, 12, 35, g),
    "grain strong": lambda x, g: _grain(x, 80, g),
}


def kind_of(degradation: str) -> str:
    """The kind without its strength."""
    return degradation.split()[0]


@dataclass(frozen=True)
class Cells:
    """A photograph in some of its degradations, restored as one batch.

    Attributes:
        photo: file name.
        degradations: their names, one an image.
        clean: (B, 3, h, w) in [0, 1], the original repeated.
        degraded: (B, 3, h, w) in [0, 1].
    """

    photo: str
    degradations: tuple[str, ...]
    clean: Tensor
    degraded: Tensor


def split(photos: Path, tuning: bool) -> list[Path]:
    """Every other held-out photograph: half of them for tuning, the others only for reporting."""
    return list_photos(photos, heldout=True)[0 if tuning else 1 :: 2]


def make(file: Path, index: int, each: int, side: int = SIDE) -> Cells:
    """The ``index``-th photograph in ``each`` of the degradations, dealt out so that all come up equally often."""
    names = list(DEGRADATIONS)
    # Steps of five run through all twelve, and mix kinds and strengths from the first on.
    chosen = tuple(names[5 * (index * each + offset) % len(names)] for offset in range(each))
    clean = centre_crop(file, side)[None]
    generator = torch.Generator().manual_seed(index)
    degraded = torch.cat([DEGRADATIONS[name](clean, generator) for name in chosen])
    return Cells(file.name, chosen, clean.expand_as(degraded), degraded)
