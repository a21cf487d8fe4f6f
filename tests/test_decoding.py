"""Decoders in less memory: the same image on every level, and a gradient within its bound."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dmap.memory.decoding import LEVELS, Decoding
from dmap.memory.plan import measure, measure_decoder
from dmap.models import Autoencoder, load_model
from toys import latents


class ResnetBlock(nn.Module):
    """As in Stable Diffusion's decoder: group norms tie far pixels together."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.GroupNorm(4, width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.conv(nn.functional.silu(self.norm(x)))
        return result


class NormedDecoder(nn.Sequential):
    """Twice the latent's resolution."""

    def __init__(self) -> None:
        grow = nn.Upsample(scale_factor=2)
        super().__init__(nn.Conv2d(4, 16, 1), ResnetBlock(16), grow, ResnetBlock(16), nn.Conv2d(16, 3, 3, padding=1))
        self.double().requires_grad_(False)


def gradient(decoding: Decoding, latent: Tensor) -> tuple[Tensor, Tensor]:
    z = latent.clone().requires_grad_(True)
    image = decoding(z)
    weights = torch.randn(image.shape, dtype=image.dtype, generator=torch.Generator().manual_seed(2))
    return image.detach(), torch.autograd.grad((image * weights).sum(), z)[0]


@pytest.mark.parametrize("name", ["normed", "shipped"])
def test_every_level_decodes_the_same_and_its_gradient_is_within_its_bound(name: str) -> None:
    torch.manual_seed(0)
    if name == "normed":
        module: nn.Module = NormedDecoder()
        decode, latent = module, latents(2, 4, 72)
    else:
        module = load_model("demo_autoencoder", dtype=torch.float64).requires_grad_(False)
        assert isinstance(module, Autoencoder)
        decode, latent = module.decode, latents(1, 8, 40)[..., :26]  # type: ignore[assignment]
    decoding = Decoding(decode, module)
    image, exact = gradient(decoding, latent)
    while decoding.lighter():
        here, found = gradient(decoding, latent)
        assert torch.equal(here, image), decoding.name
        # The shipped decoder has no norms and sees less far than the halo; norms make tiles inexact.
        bound = 1e-12 if decoding.name == "blocks" or name == "shipped" else 0.05
        assert float((found - exact).norm() / exact.norm()) < bound, decoding.name
    assert decoding.name == LEVELS[-1]
    with torch.no_grad():
        assert torch.equal(decoding(latent), image)
    assert not any("forward" in part.__dict__ for part in module.modules())


def test_tiles_go_through_the_attention_of_diffusers_decoders() -> None:
    """Its norm sees three dimensions; here one tile holds the whole latent."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(32,), layers_per_block=1).double().eval().requires_grad_(False)
    decoding, latent = Decoding(lambda z: vae.decode(z).sample, vae), latents(1, 4, 16)
    _, exact = gradient(decoding, latent)
    while decoding.lighter():
        _, found = gradient(decoding, latent)
        assert found.shape == exact.shape
        # The statistics' own gradient is left out, which is all the error where one tile holds everything.
        assert decoding.name != "blocks" or torch.allclose(found, exact, atol=1e-10)
        assert float((found - exact).norm() / exact.norm()) < 0.2, decoding.name


@pytest.mark.parametrize("name", ["normed", "shipped"])
def test_what_each_level_needs_is_foretold_from_a_part(name: str) -> None:
    """By shapes alone, at a size where every level matters."""
    model = load_model("demo_autoencoder").requires_grad_(False)
    assert isinstance(model, Autoencoder)
    module, decode, channels = {"normed": (NormedDecoder(), None, 4), "shipped": (model, model.decode, 8)}[name]
    decoding = Decoding(decode or module, module.to("meta"))
    latent, peaks = torch.empty(1, channels, 136, 104, device="meta", dtype=next(module.parameters()).dtype), []
    for level in LEVELS:
        assert decoding.name == level
        needed, foretold = measure(decoding, latent), measure_decoder(decoding, latent)
        assert needed.peak <= foretold.peak * 1.02 <= 1.3 * needed.peak, level
        assert foretold.kept == pytest.approx(needed.kept, rel=0.05), level
        peaks.append(needed.peak)
        decoding.lighter()
    if name == "shipped":
        assert peaks == sorted(peaks, reverse=True)
        assert peaks[1] < 0.7 * peaks[0]
        assert peaks[-1] < 0.6 * peaks[1]


def test_statistics_of_16_bit_images_are_taken_in_float32() -> None:
    norm = nn.GroupNorm(2, 4).to(torch.bfloat16).requires_grad_(False)
    x = (100 + torch.randn(2, 4, 40, 40, generator=torch.Generator().manual_seed(0))).to(torch.bfloat16)
    decoding = Decoding(norm, norm)
    _, statistics = decoding.with_statistics(x)
    mean, variance = statistics[norm]
    groups = x.double().reshape(2, 2, -1)
    assert torch.allclose(mean.double(), groups.mean(-1), rtol=1e-5)
    assert torch.allclose(variance.double(), groups.var(-1, correction=0), rtol=1e-4)
