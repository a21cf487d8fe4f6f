"""Training of a flow model on the shipped autoencoder's latents: the denoiser's recipe with a velocity for its target.

Network, data, crops and the share of each noise level are the denoiser's, so that both can be compared. From the
shipped denoiser's weights (``--start demo_denoiser``) it converges in a fraction of the time: what it sees is the same
up to a factor, and what it predicts a mixture of that network's input and output.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dmap.models.denoiser import FLOW_TIME

from .denoiser import TABLE, train_on
from .loop import LoopSettings


def flow_loss(model: nn.Module, latents: Tensor, timesteps: Tensor, generator: torch.Generator) -> Tensor:
    """Squared error of the velocity n - x0, one an image (B,), at the times with the noise of ``TABLE[timesteps]``."""
    sigma = TABLE.to(timesteps.device)[timesteps].float()
    time = sigma / (1 + sigma)
    s = time.reshape(-1, 1, 1, 1)
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    predicted = model((1 - s) * latents + s * noise, FLOW_TIME * time)
    result: Tensor = (predicted - (noise - latents)).square().mean(dim=(1, 2, 3))
    return result


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train on the latents of ``demo_autoencoder.safetensors`` in ``out``; writes ``demo_flow.safetensors``."""
    train_on(flow_loss, "flow", {"prediction": "flow"}, photos, out, settings, seed)
