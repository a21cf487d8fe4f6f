"""Training of the judge: a second quality model that no prior uses, of other architecture, label and degradations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from dmap.method.fidelity import fidelity
from dmap.models import JudgeNet, load_model, save_model
from dmap.models.judge import statistics

from .data import Crops, list_photos
from .draw import OtherDegrader
from .loop import Loop, LoopSettings
from .quality import CLEAN_SCORE, batch_of, correlation, score_error

FACTORS = (1.5, 2.0, 3.0, 4.0)
SIDE, CLEAN, HELD_OUT, VERSIONS = 128, 700, 150, 4
"""So many clean crops, for learning and for the figures, and of each so many versions."""
BATCH, MOST_STEPS = 96, 1000
"""More steps learn the training photographs by heart: held-out SRCC .72 after 1000, .69 after 3000."""
DISTANCE_SCALE = 0.3
"""1 - SSIM at which the label has fallen to 1/e of the clean one's."""

_dissimilarity = fidelity("ssim")


def label(image: Tensor, clean: Tensor) -> Tensor:
    """Known quality (B,): 80 exp(-(1 - SSIM) / 0.3) of each image against its clean original."""
    with torch.no_grad():
        return CLEAN_SCORE * torch.exp(-_dissimilarity(image, clean) / DISTANCE_SCALE)


def examples(files: list[Path], count: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Statistics (n, features) and known quality (n,) of ``VERSIONS`` versions of ``count`` crops."""
    crops, draws = Crops.load(files, FACTORS, side, generator), OtherDegrader(generator)
    features, known = [], []
    with torch.no_grad():
        for _ in range(count):
            images, originals = batch_of(draws, crops.batch(1, side), VERSIONS)
            features.append(statistics(images))
            known.append(label(images, originals))
    return torch.cat(features), torch.cat(known)


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train on all but the held-out photographs; writes ``dmap_judge.safetensors`` into ``out``."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    features, known = examples(list_photos(photos, heldout=False), CLEAN, SIDE, generator)
    network = JudgeNet()
    network.mean.copy_(features.mean(dim=0))
    network.deviation.copy_(features.std(dim=0) + 1e-3)
    if settings.start is not None:
        network.load_state_dict(load_model(settings.start, kind="judge").state_dict())

    def loss(model: nn.Module, _step: int) -> Tensor:
        chosen = torch.randint(len(features), (BATCH,), generator=generator)
        some = features[chosen]
        noisy = some + 0.1 * network.deviation * torch.randn(some.shape, generator=generator)
        return score_error(model.regress(noisy), known[chosen])  # type: ignore[operator]

    def export(average: nn.Module, step: int) -> None:
        try:
            held, truth = examples(list_photos(photos, heldout=True), HELD_OUT, SIDE, torch.Generator().manual_seed(0))
            score = average.regress(held)  # type: ignore[operator]
            error = float((score - truth).abs().mean())
            print(f"step {step}: held-out SRCC {correlation(score, truth):.3f} mean error {error:.1f}", flush=True)
        except ValueError:
            print(f"step {step}: no held-out photograph", flush=True)
        notes = {"seed": str(seed), "steps": str(step)}
        save_model(average, {}, out / "dmap_judge.safetensors", dtype=torch.float32, notes=notes)

    limited = replace(settings, most_steps=min(settings.most_steps, MOST_STEPS))
    Loop(network, out / "judge", limited, export).run(loss)
