"""Training of the latent denoiser."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dmap.errors import UserError
from dmap.image.files import centre_crop
from dmap.method.denoiser import from_network
from dmap.method.schedule import scaled_linear_betas, sigmas_from_betas
from dmap.models import Autoencoder, LatentDenoiser, load_model, save_model

from .data import list_photos, load_all_scaled
from .loop import Loop, LoopSettings

FACTORS = (1.5, 1.8, 2.2, 2.7, 3.3, 4.0)
COPIES = {"cpu": 2, "cuda": 8}
"""Each photograph is encoded so often at each scale, half of them mirrored, each beginning at another pixel; on a CPU
encoding takes minutes."""
SIDE, BATCH = 32, 16
"""Latent crops of 32x32 are photographs of 128 px."""
WIDE = 4
"""Every so many steps a quarter of the crops, of twice the side: what is far apart is to be learnt as well."""
OFTEN, SHARE = 600, 0.75
"""Timesteps below 600 are drawn three times out of four: restoration works there."""
TABLE = sigmas_from_betas(scaled_linear_betas())


def encode_all(network: Autoencoder, files: list[Path], generator: torch.Generator) -> list[Tensor]:
    """Latents of every photograph at every scale, ``COPIES`` of each, (8, h, w) float16 on the generator's device."""
    latents, device = [], generator.device
    with torch.no_grad():
        for image in load_all_scaled(files, FACTORS):
            height, width = ((extent - 3) // 4 * 4 for extent in image.shape[1:])
            if min(height, width) < 4 * SIDE:
                continue
            for number in range(COPIES[device.type]):
                top, left = torch.randint(4, (2,), generator=generator, device=device).tolist()
                pixels = image[None, :, top : top + height, left : left + width].to(device).float() / 127.5 - 1
                latents.append(network.encode(pixels.flip(3) if number % 2 else pixels)[0].half())
    if not latents:
        raise UserError(
            f"photos: none is large enough; sides of at least {int(4 * SIDE * min(FACTORS)) + 6} px are needed"
        )
    return latents


class LatentCrops:
    """Random crops of latents, images drawn in proportion to their area."""

    def __init__(self, latents: list[Tensor], generator: torch.Generator) -> None:
        self.generator = generator
        self.sizes = torch.tensor([x.shape[1:] for x in latents], device=generator.device)
        areas = self.sizes.prod(dim=1)
        self.first, self.areas = areas.cumsum(0) - areas, areas
        self.values = torch.cat([x.flatten(1).T for x in latents])
        """(positions of all images, 8): a batch is one gathering of rows."""

    def batch(self, count: int, side: int) -> Tensor:
        """(count, 8, side, side) float32; images smaller than ``side`` are passed over."""
        device = self.generator.device
        weights = self.areas * (self.sizes.amin(dim=1) >= side)
        chosen = torch.multinomial(weights.float(), count, replacement=True, generator=self.generator)
        room = self.sizes[chosen] - side + 1
        corner = (torch.rand(count, 2, generator=self.generator, device=device) * room).long().minimum(room - 1)
        steps = torch.arange(side, device=device)
        rows = (corner[:, :1] + steps) * self.sizes[chosen, 1:]
        index = self.first[chosen, None, None] + rows[:, :, None] + (corner[:, 1:] + steps)[:, None]
        return self.values[index].movedim(3, 1).float()


def draw_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Timesteps (count,) in 0..999, stratified within the batch."""
    device = generator.device
    position = (torch.arange(count, device=device) + torch.rand(count, generator=generator, device=device)) / count
    low = position / SHARE * OFTEN
    high = OFTEN + (position - SHARE) / (1 - SHARE) * (1000 - OFTEN)
    return torch.where(position < SHARE, low, high).long().clamp(0, 999)


def v_loss(model: nn.Module, latents: Tensor, timesteps: Tensor, generator: torch.Generator) -> Tensor:
    """Squared error of the v-prediction, one an image (B,)."""
    sigma = TABLE.to(timesteps.device)[timesteps].float().reshape(-1, 1, 1, 1)
    alpha = (1 + sigma**2).rsqrt()
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    target = alpha * noise - sigma * alpha * latents
    predicted = model(alpha * (latents + sigma * noise), timesteps.float())
    result: Tensor = (predicted - target).square().mean(dim=(1, 2, 3))
    return result


Objective = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
"""Of a network, clean latents, timesteps of ``TABLE`` and the noise's generator; one number an image (B,)."""


def evaluate(network: nn.Module, autoencoder: Autoencoder, photos: Path, objective: Objective = v_loss) -> list[float]:
    """The loss on the held-out photographs at 256 px, means over the four quarters of the timesteps."""
    files = list_photos(photos, heldout=True)
    images = torch.stack([centre_crop(file, 256) for file in files])
    generator = torch.Generator().manual_seed(0)
    losses = []
    with torch.no_grad():
        latents = torch.cat([autoencoder.encode(image[None] * 2 - 1) for image in images])
        for quarter in range(4):
            timesteps = quarter * 250 + torch.arange(len(files)) * 250 // len(files)
            losses.append(float(objective(network, latents, timesteps, generator).mean()))
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
    train_on(v_loss, "denoiser", {}, photos, out, settings, seed)


def train_on(
    objective: Objective,
    name: str,
    config: dict[str, Any],
    photos: Path,
    out: Path,
    settings: LoopSettings,
    seed: int,
) -> None:
    """Train a denoiser by an objective; checkpoints go to ``out/name``, the model to ``out/demo_name.safetensors``.

    Args:
        objective: the loss.
        name: of the recipe.
        config: the network's keyword arguments.
        photos, out, settings, seed: as for every recipe.
    """
    generator = torch.Generator(settings.device).manual_seed(seed)
    torch.manual_seed(seed)
    autoencoder = load_model(out / "demo_autoencoder.safetensors", kind="autoencoder")
    assert isinstance(autoencoder, Autoencoder)
    encoder = copy.deepcopy(autoencoder).to(settings.device)
    crops = LatentCrops(encode_all(encoder, list_photos(photos, heldout=False), generator), generator)
    largest = int(crops.sizes.amin(dim=1).max())
    network = LatentDenoiser(**config).to(memory_format=torch.channels_last)
    if settings.start is not None:
        network.load_state_dict(load_model(settings.start, kind="denoiser").state_dict())
    elif not (out / name / "checkpoint.safetensors").exists():
        nn.init.zeros_(network.head.weight)
        nn.init.zeros_(network.head.bias)

    def loss(model: nn.Module, step: int) -> Tensor:
        count, side = settings.batch or BATCH, SIDE
        if step % WIDE == 0 and largest >= 2 * SIDE:
            count, side = max(1, count // 4), 2 * SIDE
        return objective(model, crops.batch(count, side), draw_timesteps(count, generator), generator).mean()

    def export(average: nn.Module, step: int) -> None:
        try:
            losses = evaluate(average, autoencoder, photos, objective)
            print(f"step {step}: held-out loss by quarter of t", losses, flush=True)
        except ValueError:
            print(f"step {step}: no held-out photograph", flush=True)
        notes = {"seed": str(seed), "steps": str(step)}
        save_model(average, dict(config), out / f"demo_{name}.safetensors", notes=notes)

    Loop(network, out / name, settings, export).run(loss)
