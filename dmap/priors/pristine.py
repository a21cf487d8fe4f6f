"""Priors without a network: how far an image's statistics are from those of good photographs."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from .. import tensorfile
from ..errors import UserError
from ..models.store import WEIGHTS
from .base import Prior, PriorInfo
from .logistic import LogisticMap

FORMAT, VERSION = "dmap-statistics", "1"


class PristinePrior(Prior):
    """Mahalanobis distance of an image's features from the mean of good photographs' features, in their spread.

    The idea of NIQE (Mittal, Soundararajan and Bovik, IEEE Signal Processing Letters 2013): nothing but good
    photographs is learned from. Here the features are smooth, so that they can be climbed.

    Args:
        info: facts about the model; its name is the file's.
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self, info: PriorInfo) -> None:
        file = WEIGHTS / f"{info.name}.safetensors"
        tensors, header = tensorfile.read(file, "statistics file", "install the pack again")
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise UserError(f"statistics file {file.name}: it is not one of this version; install the pack again")
        super().__init__(info, LogisticMap(float(header["midpoint"]), float(header["slope"])))
        self.register_buffer("mean", tensors["mean"])
        self.register_buffer("whitening", tensors["whitening"])

    @staticmethod
    @abstractmethod
    def features(image: Tensor) -> Tensor:
        """Features (B, n), each of about unit scale, of (B, 3, h, w) in [0, 1]."""

    def score(self, image: Tensor) -> Tensor:
        return distance(self.features(image), self.mean, self.whitening)


def distance(features: Tensor, mean: Tensor, whitening: Tensor) -> Tensor:
    """Root mean square of the whitened deviations of (B, n): 1 is usual for a good photograph."""
    return ((features - mean) @ whitening).square().mean(dim=1).add(1e-12).sqrt()


def luminance(image: Tensor) -> Tensor:
    """Luma of (B, 3, h, w) by ITU-R BT.601, (B, 1, h, w)."""
    weights = image.new_tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    return (image * weights).sum(dim=1, keepdim=True)


def fit(features: Tensor, shrinkage: float = 0.05) -> tuple[Tensor, Tensor]:
    """Mean (n,) and whitening matrix (n, n) of good photographs' features (N, n).

    The covariance is shrunk towards its diagonal, so that directions hardly seen among good photographs do not rule.
    """
    mean, covariance = features.mean(dim=0), torch.cov(features.T)
    shrunk = (1 - shrinkage) * covariance + shrinkage * torch.diag(covariance.diagonal())
    values, vectors = torch.linalg.eigh(shrunk)
    return mean, vectors / values.clamp(min=1e-6).sqrt()
