"""Training of the latent denoiser."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..denoiser import from_network
from ..models import Autoencoder, LatentDenoiser, load_model, save_model
from ..schedule import scaled_linear_betas, sigmas_from_betas
from .data import centre_crop, list_photos, load_scaled
from .loop import Loop, LoopSettings

FACTORS = (1.5, 2.0, 3.0, 4.0)
SIDE, BATCH = 32, 16
"""Latent crops of 32x32 are photographs of 128 px."""
OFTEN, SHARE = 600, 0.75
"""Timesteps below 600 are drawn three times out of four: restoration works there."""
TABLE = sigmas_from_betas(scaled_linear_betas())


def encode_all(network: Autoencoder, files: list[Path]) -> list[Tensor]:
    """Latents of every photograph at every scale, and of its mirror image, (8, h, w) float16 each."""
    latents = []
    with torch.no_grad():
        for file in files:
            for factor in FACTORS:
                image = load_scaled(file, factor)
                height, width = (extent // 4 * 4 for extent in image.shape[1:])
                if min(height, width) < 4 * SIDE:
                    continue
                pixels = image[None, :, :height, :width].float() / 127.5 - 1
                both = torch.cat([pixels, pixels.flip(3)])
                latents += [latent.half() for latent in network.encode(both)]
    if not latents:
        raise ValueError(
            f"photos: none is large enough; sides of at least {int(4 * SIDE * min(FACTORS))} px are needed"
        )
    return latents


class LatentCrops:
    """Random crops of latents, images drawn in proportion to their area."""

    def __init__(self, latents: list[Tensor], generator: torch.Generator) -> None:
        self.latents, self.generator = latents, generator
        self.weights = torch.tensor([float(x[0].numel()) for x in latents])

    def batch(self, count: int, side: int) -> Tensor:
        """(count, 8, side, side) float32."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=self.generator)
        crops = []
        for index in chosen.tolist():
            latent = self.latents[index]
            top, left = (
                int(torch.randint(extent - side + 1, (1,), generator=self.generator)) for extent in latent.shape[1:]
            )
            crops.append(latent[:, top : top + side, left : left + side].float())
        return torch.stack(crops)


def draw_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Timesteps (count,) in 0..999, stratified within the batch."""
    position = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    low = position / SHARE * OFTEN
    high = OFTEN + (position - SHARE) / (1 - SHARE) * (1000 - OFTEN)
    return torch.where(position < SHARE, low, high).long().clamp(0, 999)


def v_loss(model: nn.Module, latents: Tensor, timesteps: Tensor, generator: torch.Generator) -> Tensor:
    """Squared error of the v-prediction, one an image (B,)."""
    sigma = TABLE[timesteps].float().reshape(-1, 1, 1, 1)
    alpha = (1 + sigma**2).rsqrt()
    noise = torch.randn(latents.shape, generator=generator)
    target = alpha * noise - sigma * alpha * latents
    predicted = model(alpha * (latents + sigma * noise), timesteps.float())
    result: Tensor = (predicted - target).square().mean(dim=(1, 2, 3))
    return result


def evaluate(network: nn.Module, autoencoder: Autoencoder, photos: Path) -> list[float]:
    """v-loss on the held-out photographs at 256 px, means over the four quarters of the timesteps."""
    files = list_photos(photos, heldout=True)
    images = torch.stack([centre_crop(file, 256) for file in files])
    generator = torch.Generator().manual_seed(0)
    losses = []
    with torch.no_grad():
        latents = torch.cat([autoencoder.encode(image[None] * 2 - 1) for image in images])
        for quarter in range(4):
            timesteps = quarter * 250 + torch.arange(len(files)) * 250 // len(files)
            losses.append(float(v_loss(network, latents, timesteps, generator).mean()))
    return losses


def sample(network: nn.Module, count: int, side: int, steps: int, seed: int) -> Tensor:
    """Unconditional latents (count, 8, side, side) by DDIM, to be looked at."""
    denoise = from_network(network, "v", TABLE)
    u = TABLE[-1].float() * torch.randn(count, 8, side, side, generator=torch.Generator().manual_seed(seed))
    levels = TABLE[torch.linspace(999, 0, steps).long()].float()
    with torch.no_grad():
        for here, there in zip(levels, [*levels[1:], torch.zeros(())], strict=True):
            u = u + (there - here) * (u - denoise(u, here)) / here
    return u


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train on the latents of ``demo_autoencoder.safetensors`` in ``out``; writes ``demo_denoiser.safetensors``."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    autoencoder = load_model(out / "demo_autoencoder.safetensors", kind="autoencoder")
    assert isinstance(autoencoder, Autoencoder)
    crops = LatentCrops(encode_all(autoencoder, list_photos(photos, heldout=False)), generator)
    network = LatentDenoiser().to(memory_format=torch.channels_last)
    if settings.start is not None:
        network.load_state_dict(load_model(settings.start, kind="denoiser").state_dict())
    elif not (out / "denoiser" / "checkpoint.safetensors").exists():
        nn.init.zeros_(network.head.weight)
        nn.init.zeros_(network.head.bias)

    def loss(model: nn.Module, _step: int) -> Tensor:
        latents = crops.batch(BATCH, SIDE)
        return v_loss(model, latents, draw_timesteps(BATCH, generator), generator).mean()

    def export(average: nn.Module, step: int) -> None:
        try:
            print(f"step {step}: held-out v-loss by quarter of t", evaluate(average, autoencoder, photos), flush=True)
        except ValueError:
            print(f"step {step}: no held-out photograph", flush=True)
        notes = {"seed": str(seed), "steps": str(step)}
        save_model(average, {}, out / "demo_denoiser.safetensors", notes=notes)

    Loop(network, out / "denoiser", settings, export).run(loss)
