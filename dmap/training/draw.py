"""What an image can suffer: random degradations for the training of quality networks."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from .data import to_tensor
from .degrade import gaussian_blur, gaussian_noise, jpeg, resample


class Draws:
    """Random numbers, and one degraded version of a crop out of ``kinds``."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.kinds: Sequence[Callable[[Tensor], Tensor]] = ()

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


class Degrader(Draws):
    """What the shipped prior is trained on."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(generator)
        common = (self.soft, self.noisy, self.compressed, self.small, self.mixed, self.mixed)
        self.kinds = (self.clean, *common, *common, *common, self.sharpened, self.tinted, self.textured)

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


class OtherDegrader(Draws):
    """What the judge is trained on: none of these does ``Degrader`` draw."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(generator)
        self.kinds = (self.defocused, self.moved, self.grainy, self.webp, self.blocky, self.smeared, self.twice)

    def defocused(self, x: Tensor) -> Tensor:
        """Blur by a disk of radius 0.7 to 4 px."""
        radius = self.log_uniform(0.7, 4)
        reach = math.ceil(radius)
        grid = torch.arange(-reach, reach + 1.0)
        disk = (radius + 0.5 - (grid[:, None] ** 2 + grid[None] ** 2).sqrt()).clamp(0, 1)
        return self._filtered(x, disk)

    def moved(self, x: Tensor) -> Tensor:
        """Straight motion blur over 2 to 11 px, in any direction."""
        length, angle = self.log_uniform(2, 11), self.uniform(0, math.pi)
        grid = torch.arange(-6, 7.0)
        along = (grid[None] * math.cos(angle) + grid[:, None] * math.sin(angle)).abs()
        across = (grid[None] * math.sin(angle) - grid[:, None] * math.cos(angle)).abs()
        return self._filtered(x, (1 - across).clamp(0, 1) * (length / 2 + 0.5 - along).clamp(0, 1))

    def grainy(self, x: Tensor) -> Tensor:
        """Photon noise: its variance is proportional to the light; full scale is 30 to 3000 photons."""
        return self.photon_noise(x, self.log_uniform(30, 3000))

    def photon_noise(self, x: Tensor, photons: float) -> Tensor:
        """Noise of a sensor that counts ``photons`` at full scale."""
        return x + (x / photons).sqrt() * torch.randn(x.shape, generator=self.generator)

    def webp(self, x: Tensor) -> Tensor:
        """WebP of quality 1 to 80."""
        picture = Image.fromarray(x[0].mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=round(self.log_uniform(1, 80)))
        return to_tensor(Image.open(buffer))[None].float() / 255

    def blocky(self, x: Tensor) -> Tensor:
        """Reduced by block means or every n-th pixel, enlarged bilinearly."""
        factor = 2 + int(self.uniform(0, 3))
        low = nn.functional.avg_pool2d(x, factor) if self.uniform(0, 1) < 0.5 else x[..., ::factor, ::factor]
        return nn.functional.interpolate(low, size=x.shape[2:], mode="bilinear")

    def smeared(self, x: Tensor) -> Tensor:
        """Noise taken away with the detail, as by a too strong denoiser: a median over 3x3 to 7x7."""
        side = 3 + 2 * int(self.uniform(0, 3))
        noisy = x + self.log_uniform(1, 20) / 255 * torch.randn(x.shape, generator=self.generator)
        padded = nn.functional.pad(noisy, (side // 2,) * 4, mode="reflect")
        patches = nn.functional.unfold(padded, side).reshape(1, 3, side * side, *x.shape[2:])
        return patches.median(dim=2).values

    def twice(self, x: Tensor) -> Tensor:
        """Two others, one after the other."""
        first, second = (int(self.uniform(0, len(self.kinds) - 1)) for _ in range(2))
        return self.kinds[second](self.kinds[first](x).clamp(0, 1))

    @staticmethod
    def _filtered(x: Tensor, kernel: Tensor) -> Tensor:
        weight = (kernel / kernel.sum()).expand(3, 1, *kernel.shape)
        reach = kernel.shape[0] // 2
        return nn.functional.conv2d(nn.functional.pad(x, (reach,) * 4, mode="reflect"), weight, groups=3)
