"""What an image can suffer: random degradations for the training of quality networks."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg, resample
from dmap.image.files import to_tensor


class Draws:
    """Random numbers, and degraded versions of a crop out of ``kinds``, each of a severity in [0, 1]."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.kinds: Sequence[Callable[[Tensor, float], Tensor]] = ()

    def uniform(self, low: float, high: float) -> float:
        """A number between ``low`` and ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def integer(self, below: int) -> int:
        """A whole number from 0 to ``below`` - 1."""
        return int(torch.randint(below, (1,), generator=self.generator))

    def one(self, image: Tensor) -> Tensor:
        """A degraded (1, 3, h, w)."""
        return self.ladder(image, 1)[0]

    def ladder(self, image: Tensor, count: int) -> list[Tensor]:
        """``count`` versions of one kind and of random severities, in no order."""
        kind = self.kinds[self.integer(len(self.kinds))]
        return [kind(image, self.uniform(0, 1)).clamp(0, 1) for _ in range(count)]

    def versions(self, image: Tensor, count: int) -> list[Tensor]:
        """``count`` versions, mostly all of one kind, with the clean one among them half of the time."""
        alike = self.uniform(0, 1) < 0.75
        results = self.ladder(image, count) if alike else [self.one(image) for _ in range(count)]
        if self.uniform(0, 1) < 0.5:
            results[self.integer(count)] = image
        return results


def level(severity: float, mild: float, strong: float) -> float:
    """The value at a severity in [0, 1], even in its logarithm."""
    return mild * (strong / mild) ** severity


class Degrader(Draws):
    """What the shipped prior is trained on."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(generator)
        common = (self.soft, self.noisy, self.compressed, self.small, self.mixed, self.mixed)
        self.kinds = (*common, *common, *common, self.sharpened, self.tinted, self.textured)

    def soft(self, x: Tensor, severity: float) -> Tensor:
        """Gaussian blur, sigma 0.4 to 3 px."""
        return gaussian_blur(x, level(severity, 0.4, 3.0))

    def noisy(self, x: Tensor, severity: float) -> Tensor:
        """Grey or colour noise, sigma 2 to 40 of 255, white or (half of the time) slightly blurred."""
        sigma = level(severity, 2, 40) / 255
        noise = gaussian_noise(torch.full_like(x, 0.5), sigma, self.generator, grey=self.uniform(0, 1) < 0.4) - 0.5
        if self.uniform(0, 1) < 0.5:
            soft = gaussian_blur(noise, self.uniform(0.4, 1.2))
            noise = soft * (noise.std() / soft.std())
        return x + noise

    def compressed(self, x: Tensor, severity: float) -> Tensor:
        """JPEG of quality 90 to 5."""
        return jpeg(x, round(level(severity, 90, 5)))

    def small(self, x: Tensor, severity: float) -> Tensor:
        """Down- and up-sampling by 1.2 to 4."""
        return resample(x, level(severity, 1.2, 4))

    def mixed(self, x: Tensor, severity: float) -> Tensor:
        """Blur or resampling, then noise, then JPEG: what happens to a photograph."""
        x = self.soft(x, self._near(severity)) if self.uniform(0, 1) < 0.6 else self.small(x, self._near(severity))
        x = gaussian_noise(x, level(self._near(severity), 1, 25) / 255, self.generator)
        return jpeg(x, round(level(self._near(severity), 90, 12))) if self.uniform(0, 1) < 0.7 else x

    def _near(self, severity: float) -> float:
        return min(1.0, max(0.0, severity + self.uniform(-0.3, 0.3)))

    def sharpened(self, x: Tensor, severity: float) -> Tensor:
        """Unsharp masking with halos, sometimes of a noisy picture."""
        if self.uniform(0, 1) < 0.5:
            x = gaussian_noise(x, self.uniform(0, 8) / 255, self.generator)
        return x + level(severity, 0.5, 3) * (x - gaussian_blur(x, self.uniform(0.6, 2)))

    def tinted(self, x: Tensor, severity: float) -> Tensor:
        """A colour cast and far too much colour; weaker ones could be the photographer's intention."""
        grey = x.mean(dim=1, keepdim=True)
        cast = torch.randn(1, 3, 1, 1, generator=self.generator)
        return grey + level(severity, 1.5, 2.5) * (x - grey) + level(severity, 0.05, 0.15) * (cast - cast.mean())

    def textured(self, x: Tensor, severity: float) -> Tensor:
        """Gratings, grids and hatching, as an ascent on pixels makes them."""
        rows = torch.arange(x.shape[2], dtype=x.dtype)[:, None]
        columns = torch.arange(x.shape[3], dtype=x.dtype)[None]
        pattern = torch.zeros(3, x.shape[2], x.shape[3])
        for _ in range(1 + self.integer(3)):
            period, angle = self.uniform(2, 12), self.uniform(0, math.pi)
            wave = torch.sin(2 * math.pi / period * (rows * math.sin(angle) + columns * math.cos(angle)))
            pattern += torch.randn(3, 1, 1, generator=self.generator) * wave
        activity = (x - gaussian_blur(x, 1.5)).abs().mean(dim=1, keepdim=True) if self.uniform(0, 1) < 0.5 else 0.05
        return x + pattern * activity * level(severity, 0.1, 1.0)


class OtherDegrader(Draws):
    """What the judge is trained on: none of these does ``Degrader`` draw."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(generator)
        self.kinds = (self.defocused, self.moved, self.grainy, self.webp, self.blocky, self.smeared, self.twice)

    def defocused(self, x: Tensor, severity: float) -> Tensor:
        """Blur by a disk of radius 0.7 to 4 px."""
        radius = level(severity, 0.7, 4)
        reach = math.ceil(radius)
        grid = torch.arange(-reach, reach + 1.0)
        disk = (radius + 0.5 - (grid[:, None] ** 2 + grid[None] ** 2).sqrt()).clamp(0, 1)
        return self._filtered(x, disk)

    def moved(self, x: Tensor, severity: float) -> Tensor:
        """Straight motion blur over 2 to 11 px, in any direction."""
        length, angle = level(severity, 2, 11), self.uniform(0, math.pi)
        grid = torch.arange(-6, 7.0)
        along = (grid[None] * math.cos(angle) + grid[:, None] * math.sin(angle)).abs()
        across = (grid[None] * math.sin(angle) - grid[:, None] * math.cos(angle)).abs()
        return self._filtered(x, (1 - across).clamp(0, 1) * (length / 2 + 0.5 - along).clamp(0, 1))

    def grainy(self, x: Tensor, severity: float) -> Tensor:
        """Photon noise: its variance is proportional to the light; full scale is 3000 to 30 photons."""
        return self.photon_noise(x, level(severity, 3000, 30))

    def photon_noise(self, x: Tensor, photons: float) -> Tensor:
        """Noise of a sensor that counts ``photons`` at full scale."""
        return x + (x / photons).sqrt() * torch.randn(x.shape, generator=self.generator)

    def webp(self, x: Tensor, severity: float) -> Tensor:
        """WebP of quality 80 to 1."""
        picture = Image.fromarray(x[0].mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=round(level(severity, 80, 1)))
        return to_tensor(Image.open(buffer, formats=("WEBP",)))[None].float() / 255

    def blocky(self, x: Tensor, severity: float) -> Tensor:
        """Reduced by block means or every n-th pixel, enlarged bilinearly."""
        factor = 2 + round(2 * severity)
        low = nn.functional.avg_pool2d(x, factor) if self.uniform(0, 1) < 0.5 else x[..., ::factor, ::factor]
        return nn.functional.interpolate(low, size=x.shape[2:], mode="bilinear")

    def smeared(self, x: Tensor, severity: float) -> Tensor:
        """Noise taken away with the detail, as by a too strong denoiser: a median over 3x3 to 7x7."""
        side = 3 + 2 * round(2 * severity)
        noisy = x + level(severity, 1, 20) / 255 * torch.randn(x.shape, generator=self.generator)
        padded = nn.functional.pad(noisy, (side // 2,) * 4, mode="reflect")
        patches = nn.functional.unfold(padded, side).reshape(1, 3, side * side, *x.shape[2:])
        return patches.median(dim=2).values

    def twice(self, x: Tensor, severity: float) -> Tensor:
        """Two others, one after the other."""
        first, second = (self.kinds[self.integer(len(self.kinds) - 1)] for _ in range(2))
        return second(first(x, severity).clamp(0, 1), severity)

    @staticmethod
    def _filtered(x: Tensor, kernel: Tensor) -> Tensor:
        weight = (kernel / kernel.sum()).expand(3, 1, *kernel.shape)
        reach = kernel.shape[0] // 2
        return nn.functional.conv2d(nn.functional.pad(x, (reach,) * 4, mode="reflect"), weight, groups=3)
