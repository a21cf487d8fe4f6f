"""Training of a network for its gradient: what a MAP ascent follows is the gradient, not the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dmap.image.detail import weighted
from dmap.models import Autoencoder, QualityNet, load_model, read_model, save_model

from .data import Crops, list_photos
from .draw import Degrader
from .loop import Loop, LoopSettings
from .quality import (
    CALIBRATION,
    CLEAN,
    FACTORS,
    MARGIN,
    SIDE,
    Batches,
    batch_of,
    label,
    score_error,
    score_of,
    uphill_error,
)

FINE = 2
"""Pairs of convolutions at full resolution: a gradient that restores needs more of them than a score."""
SCORE_WEIGHT = 0.05
"""Of the score's error. A network that learns to tell blocks from detail by their grid points along the grid."""
POINTS = 560.0
"""Of the score by which an image falls for a root mean square distance of 1 (of noise of 25: 55 points)."""
SLIGHT = 2 / 255
"""Root mean square distance at which half of the gradient's length is wanted: little is to be mended there."""


def gradient_error(score: Tensor, images: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error of the gradient, whose goal is that of -``POINTS`` times the distance to the original.

    Its length is trained as well as its direction: one fidelity weight then suits all degradations, and where the
    direction is in doubt the gradient is short (a cosine of c makes a length of c the best).

    Args:
        score: (B,) of ``images``, with a graph.
        images: (B, 3, h, w) that require a gradient.
        clean: their originals.
    """
    (gradient,) = torch.autograd.grad(score.sum(), images, create_graph=True)
    way = (clean - images.detach()).flatten(1)
    size = way.shape[1] ** 0.5
    distance = way.norm(dim=1, keepdim=True) / size
    wanted = way / (size * (distance + SLIGHT))
    return (gradient.flatten(1).float() * size / POINTS - wanted).square().sum(dim=1).mean()


def begin(start: Path | None) -> tuple[QualityNet, dict[str, Any]]:
    """A network and its configuration: fresh, or a finished one with further layers at full resolution.

    Those begin as the identity, so that the network starts as what it was.
    """
    config: dict[str, Any] = {} if start is None else dict(read_model(start, kind="quality").config)
    before = config.get("fine", 0)
    config["fine"] = max(FINE, before)
    network = QualityNet(**config)
    if start is not None:
        with torch.no_grad():
            for last in network.fine[2 * before + 1 :: 2]:
                for parameter in last.parameters():
                    parameter.zero_()
        network.load_state_dict(network.state_dict() | load_model(start, kind="quality").state_dict())
    return network.to(memory_format=torch.channels_last), config


def through(autoencoder: Autoencoder, images: Tensor, share: Tensor) -> Tensor:
    """Images (B, 3, h, w) in [0, 1] as an ascent sees them: their round trip and a share (B,) of what it lost."""
    with torch.no_grad():
        trip = (autoencoder.decode(autoencoder.encode(images * 2 - 1)).float() + 1) / 2
        return (trip + weighted(images - trip, share)).clamp(0, 1)


def mean_cosine(network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """Of the angles between the score's gradient and the way to the clean crop."""
    errors = []
    for images, originals in batches:
        moved = images.clone().requires_grad_(True)
        errors.append(float(uphill_error(score_of(network, moved), moved, originals).detach()))
    return 1 - sum(errors) / len(errors)


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train on the gradients of all crops of a batch, each by ``through`` ``demo_autoencoder.safetensors`` in ``out``.

    Writes ``dmap_guide.safetensors`` into ``out``.
    """
    torch.manual_seed(seed)
    autoencoder = load_model(out / "demo_autoencoder.safetensors", kind="autoencoder", device=settings.device)
    assert isinstance(autoencoder, Autoencoder)
    autoencoder.requires_grad_(False)
    shares = torch.Generator().manual_seed(seed)
    loaded = Crops.load(list_photos(photos, heldout=False), FACTORS, SIDE + MARGIN, torch.Generator())
    batches = Batches(loaded.images, settings.batch or CLEAN, seed)
    network, config = begin(settings.start)
    stream = iter(DataLoader(batches, batch_size=None, num_workers=settings.workers))

    def loss(model: nn.Module, _: int) -> Tensor:
        images, originals = (part.to(settings.device) for part in next(stream))
        images = through(autoencoder, images, torch.rand(len(images), generator=shares))
        known = label(images, originals)
        images.requires_grad_(True)
        score = score_of(model, images)
        return gradient_error(score, images, originals) + SCORE_WEIGHT * score_error(score.float(), known)

    def export(average: nn.Module, step: int) -> None:
        assert isinstance(average, QualityNet)
        fresh = torch.Generator().manual_seed(seed)
        clean = Crops(loaded.images, fresh).batch(CALIBRATION, SIDE)
        parts = (batch_of(Degrader(fresh), clean[at : at + CLEAN], 1) for at in range(0, len(clean), CLEAN))
        half = torch.tensor([0.5])
        cosine = mean_cosine(average, [(through(autoencoder, x.to(settings.device), half).cpu(), y) for x, y in parts])
        print(f"step {step}: cosine uphill on training photographs {cosine:.3f}", flush=True)
        save_model(average, config, out / "dmap_guide.safetensors", notes={"seed": str(seed), "steps": str(step)})

    Loop(network, out / "guide", settings, export).run(loss)
