"""The shipped no-reference quality network."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

# Orthonormal opponent colours: luminance, blue-yellow, red-green.
OPPONENT = ((0.577350, 0.577350, 0.577350), (-0.408248, -0.408248, 0.816497), (0.707107, -0.707107, 0.0))


def _binomial(channels: int, like: Tensor) -> Tensor:
    """5x5 binomial kernel, one for each channel: (channels, 1, 5, 5)."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=like.device, dtype=like.dtype) / 16
    return torch.outer(row, row).expand(channels, 1, 5, 5)


def blur(x: Tensor, stride: int = 1) -> Tensor:
    """Binomial low-pass with reflected borders; with a stride an anti-aliased decimation (Zhang 2019)."""
    padded = nn.functional.pad(x, (2, 2, 2, 2), mode="reflect")
    return nn.functional.conv2d(padded, _binomial(x.shape[1], x), stride=stride, groups=x.shape[1])


class QualityNet(nn.Module):
    """Score of a photograph from locally normalised luminance, colour and local contrast.

    Local normalisation (Ruderman 1994; the front end of BRISQUE and NIQE) makes noise, blur and blocks visible to a
    small network; colour and contrast enter beside it, so that colour casts are seen as well.

    Args:
        widths: channels of the stages; each stage halves the resolution.
        fine: residual pairs of convolutions at full resolution, before the stages.
        operations: where layers come from; the host passes its own namespace.
    """

    min_size: ClassVar[int] = 64
    features: ClassVar[int] = 10

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 96, 128),
        fine: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.stem = operations.Conv2d(self.features, widths[0], 3, padding=1, **factory)
        self.fine = nn.ModuleList()
        for _ in range(2 * fine):
            self.fine.append(operations.Conv2d(widths[0], widths[0], 3, padding=1, **factory))
        self.first, self.second, self.wider = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for index, width in enumerate(widths):
            self.first.append(operations.Conv2d(width, width, 3, padding=1, **factory))
            self.second.append(operations.Conv2d(width, width, 3, padding=1, **factory))
            if index + 1 < len(widths):
                self.wider.append(operations.Conv2d(width, widths[index + 1], 1, **factory))
        self.hidden = operations.Linear(2 * sum(widths), 128, **factory)
        self.score = operations.Linear(128, 1, **factory)

    def inputs(self, image: Tensor) -> Tensor:
        """Features of (B, 3, h, w) in [0, 1]: (B, 10, h, w), each of about unit scale."""
        matrix = torch.tensor(OPPONENT, device=image.device, dtype=image.dtype)
        opponent = torch.einsum("oc,bchw->bohw", matrix, image - 0.5)
        mean = blur(blur(opponent))
        centred = opponent - mean
        deviation = (blur(blur(centred**2)) + 1e-5).sqrt()
        normalised = centred[:, :1] / (deviation[:, :1] + 0.02)
        chroma = centred[:, 1:] / (deviation[:, :1] + 0.02)
        coarse = blur(blur(mean))
        return torch.cat([normalised, chroma, deviation.log() / 2 + 2, 3 * mean, coarse[:, :1] - mean[:, :1]], dim=1)

    def forward(self, image: Tensor) -> Tensor:
        """Quality (B,) in 0..100, higher better, of (B, 3, h, w) in [0, 1], sides at least 64."""
        return self.read(self.inputs(image))

    def read(self, inputs: Tensor) -> Tensor:
        """Quality (B,) of the features (B, 10, h, w) that ``inputs`` makes."""
        hidden, pooled = self.stem(inputs), []
        for first, second in zip(self.fine[::2], self.fine[1::2], strict=True):
            hidden = hidden + second(nn.functional.silu(first(nn.functional.silu(hidden))))
        hidden = nn.functional.silu(hidden)
        for index, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            hidden = blur(hidden, stride=2)
            if index > 0:
                hidden = self.wider[index - 1](hidden)
            hidden = hidden + second(nn.functional.silu(first(nn.functional.silu(hidden))))
            pooled += [hidden.mean(dim=(2, 3)), (hidden.var(dim=(2, 3), correction=0) + 1e-4).sqrt()]
        features = nn.functional.silu(self.hidden(torch.cat(pooled, dim=1)))
        return 100 * torch.sigmoid(self.score(features)[:, 0])
