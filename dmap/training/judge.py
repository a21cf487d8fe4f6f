"""Training of the judge: a second quality network that no prior uses, of other architecture, label and degradations."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..fidelity import fidelity
from ..models import QualityNet, load_model, save_model
from .data import Crops, list_photos
from .draw import OtherDegrader
from .loop import Loop, LoopSettings
from .quality import CLEAN_SCORE, FACTORS, SIDE, evaluate, score_error

CLEAN, VERSIONS = 4, 2
"""Each batch: so many clean crops, of each so many degraded versions, which the ranking compares."""
DISTANCE_SCALE = 0.3
"""1 - SSIM at which the label has fallen to 1/e of the clean one's."""

_dissimilarity = fidelity("ssim")


def label(image: Tensor, clean: Tensor) -> Tensor:
    """Known quality (B,): 80 exp(-(1 - SSIM) / 0.3) of each image against its clean original."""
    with torch.no_grad():
        return CLEAN_SCORE * torch.exp(-_dissimilarity(image, clean) / DISTANCE_SCALE)


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train on all but the held-out photographs; writes ``dmap_judge.safetensors`` into ``out``."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    crops = Crops.load(list_photos(photos, heldout=False), FACTORS, SIDE, generator)
    draws = OtherDegrader(generator)
    network = QualityNet().to(memory_format=torch.channels_last)
    if settings.start is not None:
        network.load_state_dict(load_model(settings.start, kind="quality").state_dict())

    def loss(model: nn.Module, _step: int) -> Tensor:
        clean = crops.batch(CLEAN, SIDE)
        degraded = [draws.one(one[None]) for _ in range(VERSIONS) for one in clean]
        images, originals = torch.cat([*degraded, clean[:1]]), torch.cat([clean, clean, clean[:1]])
        return score_error(model(images), label(images, originals))

    def export(average: nn.Module, step: int) -> None:
        try:
            figures = evaluate(average, photos, OtherDegrader(torch.Generator().manual_seed(0)), label)
            print(f"step {step}: {figures}", flush=True)
        except ValueError:
            print(f"step {step}: no held-out photograph", flush=True)
        save_model(average, {}, out / "dmap_judge.safetensors", notes={"seed": str(seed), "steps": str(step)})

    Loop(network, out / "judge", settings, export).run(loss)
