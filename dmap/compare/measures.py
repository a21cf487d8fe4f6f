"""Full-reference measures against the undegraded photograph."""

from __future__ import annotations

import torch
from torch import Tensor

from ..method.fidelity import fidelity

MEASURES = ("psnr", "ssim", "ms_ssim")
"""Against the undegraded photograph, where it was degraded here: judges that no model was made to please."""


def measure(name: str, image: Tensor, clean: Tensor) -> float | None:
    """A full-reference measure of (1, 3, h, w), higher better: PSNR in dB, SSIM and MS-SSIM up to 1.

    None where the images are too small for it.
    """
    if name == "psnr":
        error = float((image - clean).square().mean())
        return -10 * float(torch.tensor(max(error, 1e-10)).log10())
    distance = fidelity(name)
    return None if min(image.shape[-2:]) < distance.min_size else 1 - float(distance(image, clean))
