"""Training of the quality network, hardened against its own adversarial examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from dmap.image.files import centre_crop
from dmap.method.fidelity import fidelity
from dmap.models import Autoencoder, QualityNet, load_model, read_model, save_model

from .data import Crops, list_photos
from .draw import Degrader, Draws, level
from .loop import Loop, LoopSettings

FACTORS = (1.5, 2.0, 3.0)
SIDE, MARGIN = 96, 16
"""Crops are degraded with a margin and cut at random: no block of a JPEG is where the network could expect it."""
FINE = 1
"""Convolutions at full resolution: without them the gradient hardly knows noise and blocks from detail."""
CLEAN, VERSIONS = 4, 3
"""Each batch: so many clean crops, of each so many degraded versions, which the ranking compares.

The first version of each is attacked in every fourth batch, and its gradient is trained: a double backward costs
three times a single one."""
ATTACK_AFTER = 800
"""Steps after which there is something worth attacking."""
UPHILL_WEIGHT = 3.0
CALIBRATION = 100
"""Crops of the training photographs on which the scale is set."""
CLEAN_SCORE = 80.0
DISTANCE_SCALE = 0.28
"""NLPD at which the label has fallen to 1/e of the clean one's."""

_nlpd = fidelity("nlpd")


def score_of(network: nn.Module, image: Tensor) -> Tensor:
    """The network's score (B,); the local normalisation, which takes differences, in full precision under autocast."""
    with torch.autocast(image.device.type, enabled=False):
        inputs = network.inputs(image)  # type: ignore[operator]
    result: Tensor = network.read(inputs)  # type: ignore[operator]
    return result


def label(image: Tensor, clean: Tensor) -> Tensor:
    """Known quality (B,): 80 exp(-NLPD / 0.28) of each image against its clean original."""
    with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
        return CLEAN_SCORE * torch.exp(-_nlpd(image, clean) / DISTANCE_SCALE)


def attack(score: Callable[[Tensor], Tensor], image: Tensor, decode: nn.Module | None, draws: Draws) -> Tensor:
    """A few normalised ascent steps on a network's score, on pixels or on the autoencoder's latent.

    Args:
        score: (B, 3, h, w) in [0, 1] -> (B,).
        image: (B, 3, h, w) in [0, 1].
        decode: the autoencoder, or None to move pixels.
    """
    variable = image if decode is None else decode.encode(image * 2 - 1)  # type: ignore[operator]
    size = level(draws.uniform(0, 1), 0.3, 4) / 255 if decode is None else level(draws.uniform(0, 1), 0.01, 0.1)
    variable = variable.detach()
    for _ in range(1 + int(draws.uniform(0, 4))):
        variable.requires_grad_(True)
        shown = variable if decode is None else (decode.decode(variable) + 1) / 2  # type: ignore[operator]
        (gradient,) = torch.autograd.grad(score(shown.float().clamp(0, 1)).sum(), variable)
        scale = gradient.abs().mean(dim=(1, 2, 3), keepdim=True) + 1e-12
        variable = (variable + size * (gradient / scale).clamp(-3, 3)).detach()
    shown = variable if decode is None else (decode.decode(variable) + 1) / 2  # type: ignore[operator]
    return shown.detach().float().clamp(0, 1)


def uphill_error(score: Tensor, images: Tensor, clean: Tensor) -> Tensor:
    """Mean of 1 - cos of the angle between the score's gradient and the way to the clean original.

    An ascent follows the gradient, not the score; a network that only scores well may climb by textures that look
    like nothing. Images that are clean already do not count.

    Args:
        score: (B,) of ``images``, with a graph.
        images: (B, 3, h, w) that require a gradient.
        clean: their originals.
    """
    (gradient,) = torch.autograd.grad(score.sum(), images, create_graph=True)
    way = clean - images.detach()
    cosine = nn.functional.cosine_similarity(gradient.flatten(1).float(), way.flatten(1), dim=1)
    degraded = way.square().mean(dim=(1, 2, 3)) > (1 / 255) ** 2
    return ((1 - cosine) * degraded).sum() / degraded.sum().clamp(min=1)


def correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation (SRCC) of two (n,)."""
    ranks = torch.stack([first.argsort().argsort(), second.argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


def evaluate(network: nn.Module, photos: Path, draws: Draws, known: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Figures on the held-out photographs at 192 px: SRCC with the label, mean clean and degraded scores."""
    scores, labels, clean_scores = [], [], []
    with torch.no_grad():
        for file in list_photos(photos, heldout=True):
            clean = centre_crop(file, 192)[None]
            versions = torch.cat([draws.one(clean) for _ in range(8)])
            scores.append(network(versions))
            labels.append(known(versions, clean.expand_as(versions)))
            clean_scores.append(network(clean))
    score, truth = torch.cat(scores), torch.cat(labels)
    return (
        f"held-out SRCC {correlation(score, truth):.3f} mean error {float((score - truth).abs().mean()):.1f} "
        f"clean {float(torch.cat(clean_scores).mean()):.1f} degraded {float(score.mean()):.1f}"
    )


def batch_of(draws: Draws, clean: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``count`` versions of each clean crop (B, 3, h, w), first versions first, and their originals."""
    versions = [draws.versions(one[None], count) for one in clean]
    return torch.cat([each[index] for index in range(count) for each in versions]), clean.repeat(count, 1, 1, 1)


@dataclass
class Batches(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches of degraded crops and their originals, (``VERSIONS`` * count, 3, SIDE, SIDE) each.

    Attributes:
        images: (3, h, w) uint8 each, what crops are drawn from.
        count: clean crops of a batch.
        seed: of the randomness; worker processes add their number.
    """

    images: Sequence[Tensor]
    count: int
    seed: int

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        generator = torch.Generator().manual_seed(self.seed + 1000 * (worker.id if worker else 0))
        crops, draws = Crops(self.images, generator), Degrader(generator)
        while True:
            images, originals = batch_of(draws, crops.batch(self.count, SIDE + MARGIN), VERSIONS)
            corners = [(draws.integer(MARGIN), draws.integer(MARGIN)) for _ in range(self.count)] * VERSIONS
            yield _cut(images, corners), _cut(originals, corners)


def _cut(images: Tensor, corners: list[tuple[int, int]]) -> Tensor:
    """A SIDE x SIDE part of each of (B, 3, h, w)."""
    return torch.stack([one[:, y : y + SIDE, x : x + SIDE] for one, (y, x) in zip(images, corners, strict=True)])


def calibrate(network: QualityNet, images: Tensor, known: Tensor) -> None:
    """Stretch the scale, in place: mean and deviation of the logits become those of the known quality.

    A regression that is unsure leans to the mean, so that clean pictures score too little. Order is untouched.

    Args:
        network: whose last layer is changed.
        images: (B, 3, h, w) in [0, 1], of all qualities.
        known: (B,) in 0..100.
    """
    with torch.no_grad():
        logit, wanted = (torch.logit(value / 100, eps=1e-3) for value in (network(images), known))
        slope = wanted.std() / logit.std()
        network.score.weight *= slope
        network.score.bias.mul_(slope).add_(wanted.mean() - slope * logit.mean())


def score_error(score: Tensor, known: Tensor) -> Tensor:
    """Regression and pairwise ranking of the scores (B,) on the known quality (B,)."""
    fit = nn.functional.smooth_l1_loss(score / 10, known / 10)
    gap, known_gap = score[:, None] - score[None], known[:, None] - known[None]
    order = nn.functional.softplus(-gap * known_gap.sign() / 5)
    return fit + (order * (known_gap.abs() > 2)).mean()


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train; attacks use ``demo_autoencoder.safetensors`` in ``out``. Writes ``dmap_quality.safetensors``."""
    torch.manual_seed(seed)
    device, count = settings.device, settings.batch or CLEAN
    loaded = Crops.load(list_photos(photos, heldout=False), FACTORS, SIDE + MARGIN, torch.Generator())
    batches = Batches(loaded.images, count, seed)
    autoencoder = load_model(out / "demo_autoencoder.safetensors", kind="autoencoder", device=device)
    assert isinstance(autoencoder.requires_grad_(False), Autoencoder)
    draws = Degrader(torch.Generator().manual_seed(seed))
    config: dict[str, Any] = {"fine": FINE}
    if settings.start is not None:
        config = read_model(settings.start, kind="quality").config
    network = QualityNet(**config).to(memory_format=torch.channels_last)
    if settings.start is not None:
        network.load_state_dict(load_model(settings.start, kind="quality").state_dict())
    stream = iter(DataLoader(batches, batch_size=None, num_workers=settings.workers))

    def loss(model: nn.Module, step: int) -> Tensor:
        images, originals = (part.to(device) for part in next(stream))
        moved, rest, clean = images[:count], images[count:], originals[:count]
        if step > ATTACK_AFTER and step % 4 == 0:
            moved = attack(partial(score_of, model), moved, autoencoder if step % 8 == 0 else None, draws)
        known = label(torch.cat([moved, rest]), originals)
        moved.requires_grad_(True)
        score = score_of(model, moved)
        uphill = uphill_error(score, moved, clean)
        return score_error(torch.cat([score, score_of(model, rest)]).float(), known) + UPHILL_WEIGHT * uphill

    def export(average: nn.Module, step: int) -> None:
        assert isinstance(average, QualityNet)
        fresh = torch.Generator().manual_seed(seed)
        clean = Crops(loaded.images, fresh).batch(CALIBRATION, SIDE)
        images, originals = batch_of(Degrader(fresh), clean, VERSIONS)
        calibrate(average, images, label(images, originals))
        try:
            figures = evaluate(average, photos, Degrader(torch.Generator().manual_seed(0)), label)
            print(f"step {step}: {figures}", flush=True)
        except ValueError:
            print(f"step {step}: no held-out photograph", flush=True)
        notes = {"seed": str(seed), "steps": str(step)}
        save_model(average, config, out / "dmap_quality.safetensors", notes=notes)

    Loop(network, out / "quality", settings, export).run(loss)
