"""Training of the quality network, hardened against its own adversarial examples."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ..fidelity import fidelity
from ..models import Autoencoder, QualityNet, load_model, save_model
from .data import Crops, centre_crop, list_photos
from .degrade import gaussian_blur, gaussian_noise, jpeg, resample
from .loop import Loop, LoopSettings

FACTORS = (1.5, 2.0, 3.0)
SIDE, BATCH = 96, 12
ATTACKED = 4
"""Of every fourth batch, so many crops are first changed to please the present network."""
ATTACK_AFTER = 800
"""Steps after which there is something worth attacking."""
UPHILL_WEIGHT = 3.0
CLEAN_SCORE = 80.0
DISTANCE_SCALE = 0.28
"""NLPD at which the label has fallen to 1/e of the clean one's."""

_nlpd = fidelity("nlpd")


def label(image: Tensor, clean: Tensor) -> Tensor:
    """Known quality (B,): 80 exp(-NLPD / 0.28) of each image against its clean original."""
    with torch.no_grad():
        return CLEAN_SCORE * torch.exp(-_nlpd(image, clean) / DISTANCE_SCALE)


class Degrader:
    """Draws one degraded version of a crop from everything that an image can suffer."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.kinds = (
            self.clean, self.clean, self.soft, self.noisy, self.compressed, self.small, self.mixed, self.mixed,
            self.mixed, self.sharpened, self.textured, self.soft, self.noisy, self.compressed, self.small, self.mixed,
            self.mixed, self.sharpened, self.tinted, self.textured,
        )  # fmt: skip

    def uniform(self, low: float, high: float) -> float:
        """A number between ``low`` and ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def log_uniform(self, low: float, high: float) -> float:
        """A number between ``low`` and ``high``, uniform in its logarithm."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def one(self, image: Tensor) -> Tensor:
        """A degraded (1, 3, h, w)."""
        kind = int(torch.randint(len(self.kinds), (1,), generator=self.generator))
        return self.kinds[kind](image).clamp(0, 1)

    def clean(self, x: Tensor) -> Tensor:
        """Nothing."""
        return x

    def soft(self, x: Tensor) -> Tensor:
        """Gaussian blur, sigma 0.4 to 3 px."""
        return gaussian_blur(x, self.log_uniform(0.4, 3.0))

    def noisy(self, x: Tensor) -> Tensor:
        """Grey or colour noise, sigma 2 to 40 of 255, white or (half of the time) slightly blurred."""
        sigma = self.log_uniform(2, 40) / 255
        noise = gaussian_noise(torch.full_like(x, 0.5), sigma, self.generator, grey=self.uniform(0, 1) < 0.4) - 0.5
        if self.uniform(0, 1) < 0.5:
            soft = gaussian_blur(noise, self.uniform(0.4, 1.2))
            noise = soft * (noise.std() / soft.std())
        return x + noise

    def compressed(self, x: Tensor) -> Tensor:
        """JPEG of quality 5 to 90."""
        return jpeg(x, round(self.log_uniform(5, 90)))

    def small(self, x: Tensor) -> Tensor:
        """Down- and up-sampling by 1.2 to 4."""
        return resample(x, self.uniform(1.2, 4))

    def mixed(self, x: Tensor) -> Tensor:
        """Blur or resampling, then noise, then JPEG: what happens to a photograph."""
        x = self.soft(x) if self.uniform(0, 1) < 0.6 else self.small(x)
        x = gaussian_noise(x, self.log_uniform(1, 25) / 255, self.generator)
        return jpeg(x, round(self.uniform(20, 90))) if self.uniform(0, 1) < 0.7 else x

    def sharpened(self, x: Tensor) -> Tensor:
        """Unsharp masking with halos, sometimes of a noisy picture."""
        if self.uniform(0, 1) < 0.5:
            x = gaussian_noise(x, self.uniform(0, 8) / 255, self.generator)
        return x + self.uniform(0.5, 3) * (x - gaussian_blur(x, self.uniform(0.6, 2)))

    def tinted(self, x: Tensor) -> Tensor:
        """A colour cast and far too much colour; weaker ones could be the photographer's intention."""
        grey = x.mean(dim=1, keepdim=True)
        cast = torch.randn(1, 3, 1, 1, generator=self.generator)
        return grey + self.uniform(1.5, 2.5) * (x - grey) + self.uniform(0.05, 0.15) * (cast - cast.mean())

    def textured(self, x: Tensor) -> Tensor:
        """Gratings, grids and hatching, as an ascent on pixels makes them."""
        rows = torch.arange(x.shape[2], dtype=x.dtype)[:, None]
        columns = torch.arange(x.shape[3], dtype=x.dtype)[None]
        pattern = torch.zeros(3, x.shape[2], x.shape[3])
        for _ in range(1 + int(self.uniform(0, 3))):
            period, angle = self.uniform(2, 12), self.uniform(0, math.pi)
            wave = torch.sin(2 * math.pi / period * (rows * math.sin(angle) + columns * math.cos(angle)))
            pattern += torch.randn(3, 1, 1, generator=self.generator) * wave
        activity = (x - gaussian_blur(x, 1.5)).abs().mean(dim=1, keepdim=True) if self.uniform(0, 1) < 0.5 else 0.05
        return x + pattern * activity * self.uniform(0.1, 1.0)


def attack(network: nn.Module, image: Tensor, decode: nn.Module | None, degrader: Degrader) -> Tensor:
    """A few normalised ascent steps on the network's score, on pixels or on the autoencoder's latent.

    Args:
        image: (B, 3, h, w) in [0, 1].
        decode: the autoencoder, or None to move pixels.
    """
    variable = image if decode is None else decode.encode(image * 2 - 1)  # type: ignore[operator]
    size = degrader.log_uniform(0.3, 4) / 255 if decode is None else degrader.log_uniform(0.01, 0.1)
    variable = variable.detach()
    for _ in range(1 + int(degrader.uniform(0, 4))):
        variable.requires_grad_(True)
        shown = variable if decode is None else (decode.decode(variable) + 1) / 2  # type: ignore[operator]
        (gradient,) = torch.autograd.grad(network(shown.clamp(0, 1)).sum(), variable)
        scale = gradient.abs().mean(dim=(1, 2, 3), keepdim=True) + 1e-12
        variable = (variable + size * (gradient / scale).clamp(-3, 3)).detach()
    shown = variable if decode is None else (decode.decode(variable) + 1) / 2  # type: ignore[operator]
    return shown.detach().clamp(0, 1)


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


def evaluate(network: nn.Module, photos: Path, seed: int = 0) -> str:
    """Figures on the held-out photographs at 192 px: SRCC with the label, mean clean and degraded scores."""
    degrader = Degrader(torch.Generator().manual_seed(seed))
    scores, labels, clean_scores = [], [], []
    with torch.no_grad():
        for file in list_photos(photos, heldout=True):
            clean = centre_crop(file, 192)[None]
            versions = torch.cat([degrader.one(clean) for _ in range(8)])
            scores.append(network(versions))
            labels.append(label(versions, clean.expand_as(versions)))
            clean_scores.append(network(clean))
    score, known = torch.cat(scores), torch.cat(labels)
    return (
        f"held-out SRCC {correlation(score, known):.3f} mean error {float((score - known).abs().mean()):.1f} "
        f"clean {float(torch.cat(clean_scores).mean()):.1f} degraded {float(score.mean()):.1f}"
    )


def train(photos: Path, out: Path, settings: LoopSettings, seed: int) -> None:
    """Train; attacks use ``demo_autoencoder.safetensors`` in ``out``. Writes ``dmap_quality.safetensors``."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    crops = Crops.load(list_photos(photos, heldout=False), FACTORS, SIDE, generator)
    autoencoder = load_model(out / "demo_autoencoder.safetensors", kind="autoencoder").requires_grad_(False)
    assert isinstance(autoencoder, Autoencoder)
    degrader = Degrader(generator)
    network = QualityNet().to(memory_format=torch.channels_last)

    def loss(model: nn.Module, step: int) -> Tensor:
        clean = crops.batch(BATCH, SIDE)
        images = torch.cat([degrader.one(one[None]) for one in clean])
        if step > ATTACK_AFTER and step % 4 == 0:
            decoder = autoencoder if step % 8 == 0 else None
            images = torch.cat([attack(model, images[:ATTACKED], decoder, degrader), images[ATTACKED:]])
        known = label(images, clean)
        images.requires_grad_(True)
        score = model(images)
        uphill = uphill_error(score, images, clean)
        fit = nn.functional.smooth_l1_loss(score / 10, known / 10)
        gap, known_gap = score[:, None] - score[None], known[:, None] - known[None]
        order = nn.functional.softplus(-gap * known_gap.sign() / 5)
        return fit + 0.5 * (order * (known_gap.abs() > 2)).mean() + UPHILL_WEIGHT * uphill

    def export(average: nn.Module, step: int) -> None:
        try:
            print(f"step {step}: {evaluate(average, photos)}", flush=True)
        except ValueError:
            print(f"step {step}: no held-out photograph", flush=True)
        notes = {"seed": str(seed), "steps": str(step)}
        save_model(average, {}, out / "dmap_quality.safetensors", notes=notes)

    Loop(network, out / "quality", settings, export).run(loss)
