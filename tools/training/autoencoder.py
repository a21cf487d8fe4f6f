"""Training of the autoencoder."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch
from torch import Tensor, nn

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise
from dmap.image.files import centre_crop
from dmap.method.fidelity import fidelity
from dmap.models import Autoencoder, load_model, save_model

from .data import Crops, list_photos
from .loop import Loop, LoopSettings

FACTORS = (1.5, 2.0, 3.0)
SIDE, BATCH = 96, 8
LATENT_NOISE = 0.03
"""Noise on the code in training, in its standard deviations: an ascent then finds no steep directions to abuse."""
DISSIMILARITY_WEIGHT = 0.1

_dissimilarity = fidelity("ssim")


def start_from_principal_components(network: Autoencoder, crops: Crops) -> None:
    """Set the linear path to the whitened principal components of 4x4 blocks and silence the rest."""
    images = crops.batch(256, SIDE) * 2 - 1
    patches = nn.functional.pixel_unshuffle(images, network.downscale).movedim(1, -1).flatten(0, 2).double()
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    code = network.latent_channels
    basis, scale = vectors[:, -code:].flip(1), values[-code:].flip(0).sqrt()
    with torch.no_grad():
        for layer, matrix, bias in (
            (network.analysis, (basis / scale).T, -(basis / scale).T @ mean),
            (network.synthesis, basis * scale, mean),
        ):
            nn.utils.vector_to_parameters(torch.cat([matrix.flatten(), bias]).float(), layer.parameters())
        for last in (network.encoder[-1], network.decoder[-1]):
            for parameter in last.parameters():
                parameter.zero_()


def set_latent_scale(network: Autoencoder, crops: Crops) -> None:
    """Measure mean and deviation of the code, so that latents leave ``encode`` with unit scale."""
    with torch.no_grad():
        network.mean.zero_()
        network.std.fill_(1.0)
        codes = torch.cat([network.encode(crops.batch(32, SIDE) * 2 - 1) for _ in range(8)])
        network.mean.copy_(codes.mean(dim=(0, 2, 3), keepdim=True))
        network.std.copy_(codes.std(dim=(0, 2, 3), keepdim=True))


def evaluate(network: Autoencoder, photos: Path, side: int = 256) -> tuple[float, float]:
    """(PSNR in dB, SSIM) of the round trip, means over the held-out photographs."""
    psnr, ssim = [], []
    with torch.no_grad():
        for file in list_photos(photos, heldout=True):
            image = centre_crop(file, side)[None]
            back = ((network(image * 2 - 1) + 1) / 2).clamp(0, 1)
            psnr.append(-10 * (back - image).square().mean().log10())
            ssim.append(1 - _dissimilarity(back, image)[0])
    return float(torch.stack(psnr).mean()), float(torch.stack(ssim).mean())


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train on all but the held-out photographs; writes ``demo_autoencoder.safetensors`` into ``out``.

    From a finished model (``settings.start``) only the decoder is trained: latents stay what a denoiser has learnt.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    crops = Crops.load(list_photos(photos, heldout=False), FACTORS, SIDE, generator)
    network = Autoencoder().to(memory_format=torch.channels_last)
    if settings.start is None:
        start_from_principal_components(network, crops)
    else:
        network.load_state_dict(load_model(settings.start, kind="autoencoder").state_dict())
        network.encoder.requires_grad_(False)
        network.analysis.requires_grad_(False)

    def loss(model: nn.Module, step: int) -> Tensor:
        clean = crops.batch(settings.batch or BATCH, SIDE)
        if step % 4 == 0:  # photographs to be restored are noisy and soft; the code must hold them too
            strength = float(torch.rand((), generator=generator))
            clean = gaussian_noise(gaussian_blur(clean, 0.3 + strength), 0.1 * strength, generator)
        clean = clean.to(settings.device)
        latent = model.encode(clean * 2 - 1)  # type: ignore[operator]
        spread = latent.detach().std(dim=(0, 2, 3), keepdim=True)
        back = model.decode(latent + LATENT_NOISE * spread * torch.randn_like(latent))  # type: ignore[operator]
        back = (back + 1) / 2
        charbonnier = ((back - clean).square() + 1e-6).sqrt().mean()
        return charbonnier + DISSIMILARITY_WEIGHT * _dissimilarity(back, clean).mean()

    def export(average: nn.Module, step: int) -> None:
        assert isinstance(average, Autoencoder)
        copy = Autoencoder()
        copy.load_state_dict(average.state_dict())
        if settings.start is None:
            set_latent_scale(copy, Crops(crops.images, torch.Generator().manual_seed(0)))
        figures = "no held-out photograph"
        with contextlib.suppress(ValueError):
            figures = "held-out PSNR {:.2f} dB SSIM {:.4f}".format(*evaluate(copy, photos))
        print(f"step {step}: {figures}", flush=True)
        save_model(copy, {}, out / "demo_autoencoder.safetensors", notes={"seed": str(seed), "steps": str(step)})

    Loop(network, out / "autoencoder", settings, export).run(loss)
