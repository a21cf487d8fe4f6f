"""Training of the restorer behind the prior ``dmap_restoration``."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..models import Restorer, load_model, save_model
from .data import Crops, centre_crop, list_photos
from .draw import Degrader
from .loop import Loop, LoopSettings
from .quality import FACTORS, SIDE

BATCH = 8
FLOOR = 0.005
"""Mean absolute error, of 1, below which an image asks for no more."""


def relative_error(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean logarithm of the images' mean absolute errors: a slight noise counts as much as a strong blur."""
    absolute = ((restored - clean).square() + 1e-6).sqrt().mean(dim=(1, 2, 3))
    return (absolute + FLOOR).log().mean()


def on_the_way(images: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
    """Three of ten images moved towards its original, by up to 0.8 of the way: an ascent passes through such images."""
    moved = torch.rand(len(images), 1, 1, 1, generator=generator) * 0.8
    moved[torch.rand(len(images), generator=generator) < 0.7] = 0
    return images.lerp(clean, moved)


def evaluate(network: nn.Module, photos: Path) -> str:
    """Gain in PSNR by the restoration, by kind of degradation, on the held-out photographs at 192 px."""
    texts = []
    for kind in ("soft", "noisy", "compressed", "small", "mixed"):
        draws, gains = Degrader(torch.Generator().manual_seed(0)), []
        for file in list_photos(photos, heldout=True)[::3]:
            clean = centre_crop(file, 192)[None]
            degraded = getattr(draws, kind)(clean).clamp(0, 1)
            with torch.no_grad():
                restored = network(degraded)
            before, after = ((x - clean).square().mean() for x in (degraded, restored))
            gains.append(float(10 * (before / after).log10()))
        texts.append(f"{kind} {sum(gains) / len(gains):+.2f} dB")
    return ", ".join(texts)


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train the network's restoration; writes ``dmap_restorer.safetensors`` into ``out``."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    crops = Crops.load(list_photos(photos, heldout=False), FACTORS, SIDE, generator)
    draws = Degrader(generator)
    network = Restorer().to(memory_format=torch.channels_last)
    if settings.start is not None:
        network.load_state_dict(load_model(settings.start, kind="restorer").state_dict())
    else:
        nn.init.zeros_(network.head.weight)
        nn.init.zeros_(network.head.bias)

    def loss(model: nn.Module, _step: int) -> Tensor:
        clean = crops.batch(BATCH, SIDE)
        images = on_the_way(torch.cat([draws.one(one[None]) for one in clean]), clean, generator)
        restored = model(images.contiguous(memory_format=torch.channels_last))
        return relative_error(restored.float(), clean)

    def export(average: nn.Module, step: int) -> None:
        try:
            print(f"step {step}: {evaluate(average, photos)}", flush=True)
        except ValueError:
            print(f"step {step}: no held-out photograph", flush=True)
        save_model(average, {}, out / "dmap_restorer.safetensors", notes={"seed": str(seed), "steps": str(step)})

    Loop(network, out / "restorer", settings, export).run(loss)
