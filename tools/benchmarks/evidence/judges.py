"""Measures that no ascent has climbed, and the prior's own score beside them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import torch
from skimage.color import deltaE_ciede2000, rgb2lab
from torch import Tensor

from dmap.method.fidelity import fidelity
from dmap.models import load_model
from dmap.priors import Prior
from tools import niqe
from tools.demo import psnr

# Name -> (digits to show, +1 if higher is better and -1 if lower is).
MEASURES: Mapping[str, tuple[int, int]] = {
    "psnr": (2, 1),
    "ssim": (3, 1),
    "ms_ssim": (3, 1),
    "vif": (3, 1),
    "de2000": (2, -1),
    "judge": (1, 1),
    "niqe": (2, -1),
    "piqe": (1, -1),
    "prior": (1, 1),
}
NO_REFERENCE = ("judge", "niqe", "piqe")


class Judges:
    """All ``MEASURES`` of images against their originals; the pyiqa ones only where pyiqa is installed.

    Without NIQE's parameters (``tools/niqe.py`` finds them) NIQE is left out, since pyiqa would download them.

    Args:
        judge: a model of the recipe ``python -m tools.training judge``, shipped name or file, which no prior uses.
    """

    def __init__(self, judge: str = "dmap_judge") -> None:
        self.extra: dict[str, Callable[..., Tensor]] = {"judge": load_model(judge, kind="judge").requires_grad_(False)}
        try:
            import pyiqa
        except ImportError:
            return
        parameters = niqe.parameters()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in ("vif", "piqe", "niqe"):
                if name != "niqe":
                    self.extra[name] = pyiqa.create_metric(name, device="cpu")
                elif parameters is not None:
                    self.extra[name] = pyiqa.create_metric(name, device="cpu", pretrained_model_path=str(parameters))

    def measure(self, image: Tensor, clean: Tensor, prior: Prior) -> dict[str, float]:
        """Of one (1, 3, h, w) in [0, 1]; the prior's score is what was climbed and proves nothing."""
        with torch.no_grad():
            result = {
                "psnr": psnr(image, clean),
                "ssim": 1 - float(fidelity("ssim")(image, clean)),
                "ms_ssim": 1 - float(fidelity("ms_ssim")(image, clean)),
                "de2000": _colour_difference(image, clean),
                "prior": float(prior(image)),
            }
            for name, metric in self.extra.items():
                arguments = (image, clean) if name == "vif" else (image,)
                result[name] = float(metric(*arguments))
        return {name: result[name] for name in MEASURES if name in result}


def _colour_difference(image: Tensor, clean: Tensor) -> float:
    """Mean CIEDE2000 of 8x8 means: of colours, not of noise and texture."""
    labs = [rgb2lab(torch.nn.functional.avg_pool2d(x, 8)[0].permute(1, 2, 0).double().numpy()) for x in (image, clean)]
    return float(np.mean(deltaE_ciede2000(*labs)))  # type: ignore[no-untyped-call]
