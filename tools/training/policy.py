"""Training of the guide where its own ascents go.

A network that has seen degraded photographs alone is asked, in an ascent, about pictures that no degradation makes:
scales, ringing and pebbles that its own gradient drew. Here they are part of what it learns from: a pool of pictures
holds where ascents start (photographs without their estimated noise and blocks) and where ascents of the network as it
is at that time have led in the diffusion model's latent. Each has its original, and so a distance and a way to go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from dmap.image.cleaning import clean
from dmap.method.ascent import Ascent, AscentSettings
from dmap.method.chain import Chain, keep_activations
from dmap.method.fidelity import fidelity
from dmap.method.objective import Objective
from dmap.method.solvers import make_solver
from dmap.models import QualityNet, save_model
from dmap.models.diffusion import LatentDiffusion, shipped
from dmap.priors.own import OwnQuality

from .data import Crops, list_photos
from .draw import Degrader, level
from .guide import SCORE_WEIGHT, begin, gradient_error
from .loop import Loop, LoopSettings
from .quality import CLEAN, FACTORS, MARGIN, SIDE, VERSIONS, label, score_error, score_of

POOL = 360
"""Pictures of each sort that are kept; the oldest go."""
FIRST = 5
"""Batches of ascents before the first step."""
EVERY = 12
"""Steps between batches of ascents."""
ITERATIONS = 8
KEPT = (2, 5, 8)
"""Iterations whose pictures join the pool."""
STRENGTH, STEPS = 0.2, 2
"""Of the diffusion path; two steps are half of the default's time."""
WEIGHTS = (6.0, 60.0)
"""Range of the fidelity weight: from ascents that carve to careful ones."""


@dataclass
class Pool:
    """Pictures and their originals, (n, 3, SIDE, SIDE) float16 each, oldest first."""

    images: Tensor
    originals: Tensor

    @classmethod
    def empty(cls) -> Pool:
        """Without pictures."""
        none = torch.zeros(0, 3, SIDE, SIDE, dtype=torch.float16)
        return cls(none, none)

    def add(self, images: Tensor, originals: Tensor) -> None:
        """Add pictures, and let the oldest go."""
        self.images = torch.cat([self.images, images.cpu().half()])[-POOL:]
        self.originals = torch.cat([self.originals, originals.cpu().half()])[-POOL:]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """``count`` pictures and their originals, float32, turned and mirrored at random, each pair alike."""
        chosen = torch.randint(len(self.images), (count,), generator=generator)
        pairs = torch.stack([self.images[chosen].float(), self.originals[chosen].float()], dim=1)
        turns = torch.randint(8, (count,), generator=generator).tolist()
        turned = [_turned(pair, number) for pair, number in zip(pairs, turns, strict=True)]
        images, originals = torch.stack(turned).unbind(dim=1)
        return images, originals


def _turned(images: Tensor, number: int) -> Tensor:
    """One of the eight symmetries of a square."""
    turned = torch.rot90(images, number % 4, dims=(2, 3))
    return turned.flip(3) if number >= 4 else turned


def starts(crops: Crops, draws: Degrader, count: int) -> tuple[Tensor, Tensor]:
    """Degraded crops without their estimated noise and blocks, and the originals, (count, 3, SIDE, SIDE) each."""
    images, originals = [], []
    for original in crops.batch(count, SIDE + MARGIN):
        degraded = draws.one(original[None])
        top, left = draws.integer(MARGIN), draws.integer(MARGIN)
        inner = (..., slice(top, top + SIDE), slice(left, left + SIDE))
        images.append(clean(degraded).image[inner])
        originals.append(original[None][inner])
    return torch.cat(images), torch.cat(originals)


def ascend(network: nn.Module, diffusion: LatentDiffusion, images: Tensor, fidelity_weight: float) -> list[Tensor]:
    """The iterates ``KEPT`` of an ascent of the network from images (B, 3, h, w) in the diffusion model's latent."""
    prior = OwnQuality.of(network)
    with torch.no_grad():
        latent = diffusion.encode(images)
        schedule = diffusion.schedule(STEPS, STRENGTH)
        path = make_solver("residual_ddim").invert(diffusion.denoise, schedule, latent)
        detail = images - diffusion.decode(latent)
    objective = Objective(prior, fidelity("nlpd_colour"), images, 1.0, fidelity_weight, shift=8)
    chain = Chain(path, diffusion.denoise, diffusion.decode, keep_activations, detail=detail)
    found: list[Tensor] = []

    def keep(state: Ascent) -> None:
        assert state.current is not None
        if state.trace.rows[-1].iteration in KEPT:
            found.append(state.current.clone())

    Ascent(chain, objective, AscentSettings(ITERATIONS, "adam", 0.04, 200.0)).run(keep)
    return found


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train on pictures where ascents start and where the network's own have led.

    Writes ``dmap_policy.safetensors`` into ``out``; begin with ``settings.start`` = ``dmap_guide``.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    diffusion = shipped(settings.device)
    loaded = Crops.load(list_photos(photos, heldout=False), FACTORS, SIDE + MARGIN, torch.Generator())
    crops, draws = replace(loaded, generator=generator), Degrader(generator)
    network, config = begin(settings.start)
    count = settings.batch or CLEAN * VERSIONS
    begun, led = Pool.empty(), Pool.empty()

    def grow(model: nn.Module) -> None:
        images, originals = starts(crops, draws, 2 * CLEAN)
        begun.add(images, originals)
        weight = level(draws.uniform(0, 1), *WEIGHTS)
        for iterate in ascend(model, diffusion, images.to(settings.device), weight):
            led.add(iterate, originals)

    def loss(model: nn.Module, step: int) -> Tensor:
        if step % EVERY == 0 or not len(led.images):
            for _ in range(1 if len(led.images) else FIRST):
                grow(model)
        parts = [begun.draw(count // 2, generator), led.draw(count - count // 2, generator)]
        images, originals = (torch.cat(part).to(settings.device) for part in zip(*parts, strict=True))
        known = label(images, originals)
        images.requires_grad_(True)
        score = score_of(model, images)
        return gradient_error(score, images, originals) + SCORE_WEIGHT * score_error(score.float(), known)

    def export(average: nn.Module, step: int) -> None:
        assert isinstance(average, QualityNet)
        notes = {"seed": str(seed), "steps": str(step)}
        save_model(average, config, out / "dmap_policy.safetensors", notes=notes)

    Loop(network, out / "policy", settings, export).run(loss)
