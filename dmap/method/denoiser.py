"""One callable for eps-, v- and flow-prediction networks: the denoised prediction D(u, sigma).

u = x / sqrt(abar) for variance-preserving models, u = x for flow matching; u has shape (B, C, H, W). The
derivative of the probability-flow ODE is then (u - D(u, sigma)) / sigma for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import UserError, no_choice

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""``denoise(u, sigma)``: u (B, C, H, W), sigma a 0-dim tensor; returns D(u, sigma) in u's shape and dtype."""

Network = Callable[[Tensor, Tensor], Tensor]
"""``network(x, timesteps)``: x (B, C, H, W) at the network's own scale, timesteps (B,) float."""

PREDICTIONS = ("eps", "v", "flow")


def derivative(denoise: Denoiser, u: Tensor, sigma: Tensor) -> Tensor:
    """d(u, sigma) = (u - D(u, sigma)) / sigma, the direction of a DDIM step (Song et al. 2021, eq. 14)."""
    return (u - denoise(u, sigma)) / sigma


def from_network(
    network: Network,
    prediction: str,
    table: Tensor | None = None,
    dtype: torch.dtype | None = None,
    timestep_scale: float = 1000.0,
) -> Denoiser:
    """Turn a network into a Denoiser.

    Args:
        network: the raw network; for "eps" and "v" it sees x = u / sqrt(1 + sigma^2) and the position of sigma in
            ``table``; for "flow" it sees u and ``timestep_scale * sigma``.
        prediction: "eps", "v" or "flow" (the velocity eps - x0).
        table: (T,) increasing noise levels of the timesteps 0..T-1; needed for "eps" and "v".
        dtype: the network's dtype. Only its input and output are cast; the solver keeps its own precision.

    Raises:
        UserError: for an unknown prediction or a missing table.
    """
    if prediction not in PREDICTIONS:
        raise no_choice("prediction", prediction, PREDICTIONS)
    if prediction != "flow" and table is None:
        raise UserError(f"table: {prediction}-prediction needs the table of noise levels")
    levels = None if table is None else table.detach().to("cpu", torch.float64)

    def denoise(u: Tensor, sigma: Tensor) -> Tensor:
        # Copied, and in the order of operations, as in a host: both give the same bits, backward too.
        u, level = u.clone(), sigma.to(u)
        variance = level**2 + 1
        if levels is None or prediction == "flow":
            x, time = u, timestep_scale * float(sigma)
        else:
            x, time = u / variance**0.5, float((levels.log() - sigma.cpu().double().log()).abs().argmin())
        timesteps = torch.full((u.shape[0],), time, dtype=torch.float32, device=u.device)
        out = network(x if dtype is None else x.to(dtype), timesteps).to(u.dtype)
        if prediction == "v":
            return u / variance - out * level / variance**0.5
        return u - out * level

    return denoise


def gaussian_denoiser(variance: Tensor | float, mean: Tensor | float = 0.0) -> Denoiser:
    """The exact denoiser of data drawn from N(mean, variance): its chains have a closed form to test against."""

    def denoise(u: Tensor, sigma: Tensor) -> Tensor:
        return mean + (u - mean) * (variance / (variance + sigma**2))

    return denoise
