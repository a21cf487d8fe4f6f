"""Noise and JPEG blocks told from the pixels of a photograph, and taken away."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg
from dmap.image import shrink as shrinking
from dmap.image.blocks import SHARE, Compression, find_compression, standard_steps, without_blocks
from dmap.image.cleaning import clean as clean_photograph
from dmap.image.files import to_tensor
from dmap.image.noise import basis, estimate_noise, from_opponent, to_opponent
from dmap.image.shrink import refine, shrink
from tools.demo import psnr

CLEAN = Path(__file__).parent.parent / "workflows" / "dmap_sample_clean.png"


@pytest.fixture(scope="module")
def clean() -> Tensor:
    """A real photograph, (1, 3, 256, 256)."""
    with Image.open(CLEAN) as image:
        return to_tensor(image)[None, :, :256, :256].float() / 255


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_transform_and_the_colours_are_orthonormal() -> None:
    one = torch.zeros(1, dtype=torch.float64)
    matrix = basis(8, one).reshape(64, 64)
    assert torch.allclose(matrix @ matrix.T, torch.eye(64, dtype=torch.float64), atol=1e-12)
    x = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    assert torch.allclose(from_opponent(to_opponent(x)), x, atol=1e-12)
    assert to_opponent(x).square().sum() == pytest.approx(float(x.square().sum()))


def test_shrinking_by_nothing_changes_nothing_and_by_everything_leaves_means() -> None:
    x = torch.rand(2, 3, 21, 30, dtype=torch.float64)
    nothing, everything = (torch.full((1, 1, 1, 1), limit, dtype=torch.float64) for limit in (0.0, 1e9))
    assert torch.allclose(shrink(x, nothing), x, atol=1e-12)
    means = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (7,) * 4, mode="reflect"), 8, 1)
    assert torch.allclose(shrink(x, everything), torch.nn.functional.avg_pool2d(means, 8, 1), atol=1e-12)


def test_strips_and_batches_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 3, 45, 30, dtype=torch.float64)
    limit = 0.3 * torch.rand(2, 3, 45, 30, dtype=torch.float64)
    whole = shrink(x, limit)
    assert torch.allclose(shrink(x[1:], limit[1:]), whole[1:], atol=1e-12)
    monkeypatch.setattr(shrinking, "COEFFICIENTS", 64 * 6 * 30 * 16)
    assert torch.allclose(shrink(x, limit), whole, atol=1e-12)
    assert torch.allclose(refine(x, whole, limit)[1:], refine(x[1:], whole[1:], limit[1:]), atol=1e-12)


def test_every_block_is_weighted_by_wieners_rule() -> None:
    """The same by loops over all blocks, each transformed by itself."""
    x, pilot = (torch.rand(1, 1, 11, 9, dtype=torch.float64) for _ in range(2))
    deviation = 0.1
    padded, guess = (torch.nn.functional.pad(plane, (7,) * 4, mode="reflect")[0, 0] for plane in (x, pilot))
    matrix = basis(8, x).reshape(64, 64)
    total, count = torch.zeros_like(padded), torch.zeros_like(padded)
    for row in range(padded.shape[0] - 7):
        for column in range(padded.shape[1] - 7):
            part = (slice(row, row + 8), slice(column, column + 8))
            noisy, clean = matrix @ padded[part].flatten(), matrix @ guess[part].flatten()
            weight = clean**2 / (clean**2 + deviation**2)
            weight[0] = 1
            total[part] += (matrix.T @ (weight * noisy)).reshape(8, 8) / (weight**2).sum()
            count[part] += 1 / (weight**2).sum()
    expected = (total / count)[7:-7, 7:-7]
    level = torch.tensor(deviation, dtype=torch.float64).reshape(1, 1, 1, 1)
    assert torch.allclose(refine(x, pilot, level)[0, 0], expected, atol=1e-12)
    assert torch.allclose(refine(x, pilot, 0 * level), x, atol=1e-12)


def test_white_noise_on_a_flat_picture_all_but_vanishes() -> None:
    """Of n coefficients that are noise alone the threshold lets 0.7 % pass: the mean of a block is what remains."""
    x = torch.full((1, 3, 96, 96), 0.5, dtype=torch.float64)
    noise = 0.05 * torch.randn(x.shape, generator=generator(), dtype=torch.float64)
    left = shrink(x + noise, torch.tensor(2.7 * 0.05, dtype=torch.float64).reshape(1, 1, 1, 1)) - x
    assert float(left.square().mean().sqrt()) < 0.2 * 0.05


@pytest.mark.parametrize("deviation", [2, 5, 10, 25, 40])
def test_the_noise_level_is_found(clean: Tensor, deviation: float) -> None:
    noisy = clean + deviation / 255 * torch.randn(clean.shape, generator=generator())
    assert float(estimate_noise(noisy).level) * 255 == pytest.approx(deviation, rel=0.12, abs=0.5)


def test_a_clean_or_soft_photograph_has_next_to_no_noise(clean: Tensor) -> None:
    assert float(estimate_noise(gaussian_blur(clean, 1.2)).level) < 0.6 / 255
    assert float(estimate_noise(torch.zeros(1, 3, 16, 16)).level) == 0  # too small to tell


def test_noise_that_grows_with_the_light_is_told_from_even_noise() -> None:
    x = torch.linspace(0.1, 0.9, 256).expand(1, 3, 256, 256).contiguous()
    photon = estimate_noise(x + (x * 0.004).sqrt() * torch.randn(x.shape, generator=generator()))
    even = estimate_noise(x + 0.04 * torch.randn(x.shape, generator=generator()))
    assert torch.allclose(photon.slope, torch.full((1, 3), 0.004), rtol=0.25)
    dark, bright = (float(even.deviation(torch.full((1, 1, 1, 1), level)).mean()) for level in (0.2, 0.8))
    assert dark == pytest.approx(0.04, rel=0.1) == pytest.approx(bright, rel=0.1)
    grey = x + 0.04 * torch.randn(1, 1, 256, 256, generator=generator())
    found = estimate_noise(grey).constant.sqrt()[0]
    assert float(found[0]) == pytest.approx(0.04 * 3**0.5, rel=0.15)
    assert float(found[1:].max()) < 0.002


@pytest.mark.parametrize("quality", [10, 20, 40, 60, 85])
def test_the_steps_are_those_that_files_hold(quality: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as picture:
        tables = picture.quantization  # type: ignore[attr-defined]
    for index, steps in enumerate(standard_steps(quality)):
        assert tables[index] == steps.int().tolist()


@pytest.mark.parametrize("quality", [15, 30, 50, 75, 90])
@pytest.mark.parametrize("corner", [(0, 0), (3, 5)])
def test_the_quality_and_the_grid_are_found(clean: Tensor, quality: int, corner: tuple[int, int]) -> None:
    compressed = jpeg(clean, quality)[..., corner[0] :, corner[1] :]
    found = find_compression(compressed)
    assert found is not None
    assert torch.equal(found.luminance, standard_steps(quality)[0])
    assert (found.top, found.left) == (-corner[0] % 8, -corner[1] % 8)


def test_blocks_that_run_into_black_or_white_hide_no_quality(clean: Tensor) -> None:
    """What the decoder cuts off moves coefficients from their multiples."""
    harsh = (2.2 * (clean - 0.45) + 0.45).clamp(0, 1)
    found = find_compression(jpeg(harsh, 20))
    assert found is not None
    assert torch.equal(found.luminance, standard_steps(20)[0])
    assert find_compression(harsh) is None
    assert find_compression((harsh > 0.5).float()) is None  # nothing is left to look at


def test_what_was_never_compressed_shows_no_blocks(clean: Tensor) -> None:
    assert find_compression(clean) is None
    assert find_compression(gaussian_noise(clean, 0.04, generator())) is None
    assert find_compression(gaussian_blur(clean, 1.2)) is None
    assert find_compression(clean[..., :16, :16]) is None


def test_blocks_go_and_every_coefficient_stays_in_its_cell(clean: Tensor) -> None:
    compressed = jpeg(clean, 20)
    compression = find_compression(compressed)
    assert compression is not None
    result = without_blocks(compressed, compression)
    assert psnr(result.clamp(0, 1), clean) > psnr(compressed, clean) + 0.3
    luminance = torch.tensor([0.299, 0.587, 0.114])
    moved = 255 * torch.einsum("c,bchw->bhw", luminance, result - compressed)[:, None]
    coefficients = torch.nn.functional.conv2d(moved, basis(8, moved), stride=8)
    assert bool((coefficients.abs() <= SHARE * compression.luminance[None, :, None, None] + 1e-3).all())


def test_full_colour_resolution_works_as_well(clean: Tensor) -> None:
    compression = Compression(*standard_steps(30), halved=False)
    assert without_blocks(jpeg(clean, 30), compression).shape == clean.shape


def cleaned(photograph: Tensor) -> Tensor:
    return clean_photograph(photograph).image


def test_the_findings_are_told(clean: Tensor) -> None:
    noisy = gaussian_noise(clean, 20 / 255, generator())
    notes = clean_photograph(torch.cat([noisy, jpeg(clean, 30)])).notes
    assert notes[0].startswith("noise of 2") or notes[0].startswith("noise of 1")
    assert "JPEG" in notes[1]
    small = torch.rand(1, 3, 24, 40)
    assert torch.equal(cleaned(small), small)


def test_noise_goes_and_a_clean_photograph_stays(clean: Tensor) -> None:
    for deviation, gain in ((10, 3.0), (20, 5.0)):
        noisy = gaussian_noise(clean, deviation / 255, generator())
        assert psnr(cleaned(noisy), clean) > psnr(noisy, clean) + gain
    assert psnr(cleaned(clean), clean) > 43
    soft = gaussian_blur(clean, 1.2)
    assert psnr(cleaned(soft), soft) > 50


def test_images_of_a_batch_do_not_see_one_another(clean: Tensor) -> None:
    batch = torch.cat([gaussian_noise(clean, 0.06, generator()), jpeg(clean, 30), clean])[..., :100, :90]
    together = cleaned(batch)
    assert all(torch.allclose(cleaned(batch[i : i + 1]), together[i : i + 1], atol=1e-6) for i in range(3))
