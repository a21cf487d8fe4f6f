"""Small networks and images for the tests, all seeded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmap.method.denoiser import Denoiser, from_network
from dmap.method.schedule import scaled_linear_betas, sigmas_from_betas
from dmap.priors import Prior, PriorInfo
from dmap.priors.logistic import LogisticMap

TABLE = sigmas_from_betas(scaled_linear_betas())


class TinyNetwork(nn.Module):
    """Two convolutions and a timestep; smooth, so that finite differences are exact to second order."""

    def __init__(self, channels: int = 4, width: int = 16, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, channels, 3, padding=1)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.15
        self.to(dtype).requires_grad_(False)

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        time = (timesteps.to(x.dtype) / 1000).reshape(-1, 1, 1, 1)
        hidden: Tensor = torch.tanh(self.first(x) + time)
        result: Tensor = self.second(hidden)
        return result


def network_denoiser(prediction: str = "eps", dtype: torch.dtype = torch.float64, seed: int = 0) -> Denoiser:
    """A Denoiser around TinyNetwork in the given precision of the network."""
    table = None if prediction == "flow" else TABLE
    return from_network(TinyNetwork(seed=seed, dtype=dtype), prediction, table, dtype=dtype)


def latents(
    batch: int = 2, channels: int = 4, size: int = 8, dtype: torch.dtype = torch.float64, seed: int = 1
) -> Tensor:
    """Unit-scale random latents."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, size, size, generator=generator, dtype=torch.float64).to(dtype)


class SmoothnessPrior(Prior):
    """A toy prior with a known, smooth gradient: likes images without steep steps between neighbours."""

    def __init__(self) -> None:
        info = PriorInfo("smoothness", False, (0.0, 0.02), 16, "none", True, "toy")
        super().__init__(info, LogisticMap.from_range(0.0, 0.02, higher_better=False))

    def score(self, image: Tensor) -> Tensor:
        right = (image[..., :, 1:] - image[..., :, :-1]).square().mean(dim=(1, 2, 3))
        down = (image[..., 1:, :] - image[..., :-1, :]).square().mean(dim=(1, 2, 3))
        return right + down


def photograph(batch: int, size: int, seed: int = 4) -> Tensor:
    """Something like photographs: smooth colour fields with edges and texture, (batch, 3, size, size) float64."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(batch, 3, size, size, dtype=torch.float64)
    for cells, strength in ((3, 0.25), (12, 0.12), (48, 0.08), (size, 0.04)):
        noise = torch.randn(batch, 3, cells, cells, generator=generator, dtype=torch.float64)
        image = image + strength * nn.functional.interpolate(noise, size=(size, size), mode="bicubic")
    return (0.5 + image).clamp(0.02, 0.98)
