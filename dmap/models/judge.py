"""The judge: image statistics and a small regression, nothing of the prior's architecture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SCALES = 3
BLOCK = 8
"""Side of JPEG's blocks in pixels."""


def _channels(image: Tensor) -> Tensor:
    """Luma and two colour differences of (B, 3, h, w), times 255."""
    matrix = image.new_tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    return 255 * torch.einsum("oc,bchw->bohw", matrix, image)


def _distribution(x: Tensor) -> list[Tensor]:
    """Shape of a distribution by channel: log spread, and log ratios of mean, root mean square and fourth moment."""
    dims = (2, 3)
    power = x.square().mean(dim=dims) + 1e-3
    size, fourth = x.abs().mean(dim=dims) + 1e-3, (x**4).mean(dim=dims) + 1e-4
    return [power.log(), (size.square() / power).log(), (fourth / power.square()).log()]


def _blockiness(luma: Tensor) -> list[Tensor]:
    """How much larger differences are at the most conspicuous of the 8 phases than on average, by direction."""
    found = []
    for dim in (2, 3):
        steps = (luma.diff(n=2, dim=dim).abs().clamp(max=20)).mean(dim=(1, 5 - dim))
        whole = steps[:, : steps.shape[1] // BLOCK * BLOCK].reshape(len(steps), -1, BLOCK).mean(dim=1)
        found.append(((whole.amax(dim=1) + 0.1) / (whole.mean(dim=1) + 0.1)).log()[:, None])
    return found


def statistics(image: Tensor) -> Tensor:
    """Features (B, n) of (B, 3, h, w) in [0, 1], sides at least 64: first and second differences and their products
    in four directions at three scales, and blocks."""
    x, values = _channels(image), []
    values += _blockiness(x[:, :1])
    for scale in range(SCALES):
        if scale:
            x = nn.functional.avg_pool2d(x, 2)
        across, down = x.diff(dim=3), x.diff(dim=2)
        for part in (across, down, x.diff(n=2, dim=3), x.diff(n=2, dim=2)):
            values += _distribution(part)
        for first, second in (
            (across[..., :-1], across[..., 1:]),
            (across[..., :-1, :], across[..., 1:, :]),
            (down[..., :-1, :], down[..., 1:, :]),
            (down[..., :-1], down[..., 1:]),
        ):
            products = (first * second).mean(dim=(2, 3))
            power = (first.square().mean(dim=(2, 3)) * second.square().mean(dim=(2, 3)) + 1e-4).sqrt()
            values.append(products / power)
        local = nn.functional.avg_pool2d(x.square(), 4) - nn.functional.avg_pool2d(x, 4).square()
        level = (local.clamp(min=0) + 0.05).log()
        spread = level.flatten(2).quantile(level.new_tensor([0.05, 0.25, 0.5, 0.75, 0.95]), dim=2)
        values += list(spread)
    return torch.cat(values, dim=1)


class JudgeNet(nn.Module):
    """Quality from image statistics by a regression with two hidden layers.

    Args:
        width: of the hidden layers.
        operations: where layers come from.
    """

    features = 2 + SCALES * 3 * (4 * 3 + 4 + 5)

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        width: int = 64,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_buffer("mean", torch.zeros(self.features, **factory))
        self.register_buffer("deviation", torch.ones(self.features, **factory))
        self.layers = nn.Sequential(
            operations.Linear(self.features, width, **factory), nn.SiLU(),
            operations.Linear(width, width, **factory), nn.SiLU(),
            operations.Linear(width, 1, **factory),
        )  # fmt: skip

    def regress(self, features: Tensor) -> Tensor:
        """Quality (B,) in 0..100 of ``statistics`` (B, n)."""
        whitened = ((features - self.mean) / self.deviation).clamp(-5, 5)
        return 100 * torch.sigmoid(self.layers(whitened)[:, 0])

    def forward(self, image: Tensor) -> Tensor:
        """Quality (B,) in 0..100, higher better, of (B, 3, h, w) in [0, 1], sides at least 64."""
        return self.regress(statistics(image))
