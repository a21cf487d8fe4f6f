"""What the autoencoder loses: how much of it belongs to the image, in the chain, in a path's file, in the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dmap.degradations.synthetic import jpeg
from dmap.image.detail import (
    DETAILS,
    LEAST_LIMIT,
    MOST,
    blockiness,
    estimated_share,
    weighted,
    with_detail,
)
from dmap.image.finish import coarse, return_detail
from dmap.image.photograph import Photograph
from dmap.method.ascent import Ascent, AscentSettings
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.objective import Objective
from dmap.method.path import LatentPath
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from toys import TABLE, SmoothnessPrior, latents, network_denoiser, photograph


def decode(latent: Tensor) -> Tensor:
    """Latent (B, 4, h, w) -> image (B, 3, 4h, 4w), smooth, so that a photograph loses its fine detail."""
    return torch.sigmoid(torch.nn.functional.interpolate(latent[:, :3], scale_factor=4, mode="bilinear"))


def problem(batch: slice = slice(0, 2)) -> tuple[LatentPath, Objective]:
    """Two photographs of which a smooth decoder loses fine detail; the second is noisy as well."""
    latent = latents()[batch]
    detail = photograph(2, 32) - 0.5
    noise = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3), dtype=latent.dtype)
    y = decode(latent) + (0.1 * detail + torch.tensor([0.0, 0.1])[:, None, None, None] * noise)[batch]
    y = y.clamp(0, 1)
    path = make_solver("residual_ddim").invert(network_denoiser(), Schedule.from_table(TABLE, 3, 0.4), latent)
    return path, Objective(SmoothnessPrior(), fidelity("mse"), y, 1.0, 20.0, 0)


def y_of(objective: Objective) -> Photograph:
    """What the objective compares with."""
    return Photograph(objective.photograph)


def test_with_all_of_it_an_ascent_begins_at_the_photograph() -> None:
    path, objective = problem()
    path, detail = with_detail(path, "1", y_of(objective), decode)
    chain = Chain(path, network_denoiser(), decode, detail=detail)
    assert torch.allclose(chain(chain.start()), objective.photograph, atol=1e-9)


def test_without_it_the_chain_is_the_decoder_alone() -> None:
    path, objective = problem()
    kept, detail = with_detail(path, "0", y_of(objective), decode)
    assert detail is None
    assert kept.detail is not None
    assert kept.detail.tolist() == [0.0, 0.0]


def test_auto_takes_detail_and_leaves_noise() -> None:
    path, objective = problem()
    both, _ = with_detail(path, "auto", y_of(objective), decode)
    assert both.detail is not None
    assert both.detail[0] == MOST
    assert both.detail[1] < 0.3
    alone, objective = problem(slice(1, 2))
    second, _ = with_detail(alone, "auto", y_of(objective), decode)
    assert second.detail is not None
    assert second.detail[0] == both.detail[1]


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_the_share_brings_the_image_nearest_to_the_original(sigma: float) -> None:
    """For a decoder that lets no noise through: within a tenth of the best share, which the original tells."""
    smooth = coarse(photograph(1, 256), 3)
    original = smooth + 0.05 * (photograph(1, 256, seed=5) - coarse(photograph(1, 256, seed=5), 2))
    noise = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    missing = original + sigma * noise - smooth
    best = ((original - smooth) * missing).sum() / missing.square().sum()
    share = estimated_share(smooth + missing, missing)
    assert float(share) == pytest.approx(float(best.clamp(0, MOST)), abs=0.1)
    half = torch.ones(1, 1, 256, 256, dtype=torch.float64)
    half[..., :128] = 0
    assert float(estimated_share(smooth + missing, missing * half, half)) == pytest.approx(float(share), abs=0.1)


def test_what_lies_in_a_hole_is_no_detail() -> None:
    path, objective = problem()
    known = torch.ones(1, 1, 32, 32, dtype=path.latent.dtype)
    known[..., :8] = 0
    _, detail = with_detail(path, "1", replace(y_of(objective), known=known), decode)
    assert detail is not None
    assert float(detail[..., :8].abs().max()) == 0
    assert float(detail[..., 8:].abs().max()) > 0


def test_the_image_of_an_ascent_comes_back_from_its_path(tmp_path: Path) -> None:
    path, objective = problem()
    path, detail = with_detail(path, "0.5", y_of(objective), decode)
    chain = Chain(path, network_denoiser(), decode, detail=detail)
    ascent = Ascent(chain, objective, AscentSettings(3, step_size=1e-3, target_score=101.0))
    ascent.run()
    ascent.path.save(tmp_path / "path.safetensors")
    back = LatentPath.load(tmp_path / "path.safetensors")
    missing = y_of(objective).residual(decode(back.latent))
    image = decode(make_solver(back.solver).sample(network_denoiser(), back))
    assert ascent.image is not None
    assert torch.allclose(return_detail(image, missing, 0.0, already=back.detail).clamp(0, 1), ascent.image, atol=1e-9)
    # The rest of it on top is all of it.
    full = return_detail(image, missing, 1.0, already=back.detail)
    assert torch.allclose(full, image + missing)
    assert back.image(1).detail is not None


def test_an_ascent_that_goes_on_keeps_its_share() -> None:
    path, objective = problem()
    first, _ = with_detail(path, "0.75", y_of(objective), decode)
    again, detail = with_detail(first, "auto", y_of(objective), decode)
    assert again.detail is not None
    assert again.detail.tolist() == [0.75, 0.75]
    assert detail is not None
    assert torch.allclose(detail, weighted(y_of(objective).residual(decode(path.latent)), again.detail))


def test_a_file_with_an_impossible_share_is_refused(tmp_path: Path) -> None:
    path, objective = problem()
    path, _ = with_detail(path, "1", y_of(objective), decode)
    assert path.detail is not None
    path.detail[0] = 1.5
    path.save(tmp_path / "path.safetensors")
    with pytest.raises(ValueError, match="do not fit together"):
        LatentPath.load(tmp_path / "path.safetensors")


def test_another_name_is_named() -> None:
    path, objective = problem()
    with pytest.raises(ValueError, match=r"detail: got 'half', choose one of " + DETAILS[0]):
        with_detail(path, "half", y_of(objective), decode)


@pytest.mark.parametrize("corner", [(0, 0), (3, 5)])
def test_blocks_of_jpeg_are_found_wherever_they_begin(corner: tuple[int, int]) -> None:
    y = coarse(photograph(1, 136), 2).float()
    noisy = (y + 0.05 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    top, left = corner
    for image in (y, noisy):
        assert float(blockiness(image[..., top:, left:])) < 0.3
    found = [float(blockiness(jpeg(y, quality)[..., top:, left:])) for quality in (85, 40, 15)]
    assert 0.5 < found[1] < found[2]
    assert found[0] < found[1]


def test_all_is_taken_of_a_photograph_without_noise_and_blocks() -> None:
    """As DMAP Clean Photo leaves it: the ascent begins at the photograph itself."""
    y = coarse(photograph(2, 128), 2).float()
    noisy = (y[1:] + 0.04 * torch.randn(y[1:].shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    missing = 0.02 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    share = estimated_share(torch.cat([y[:1], noisy]), missing)
    assert float(share[0]) > 0.99
    assert float(share[1]) < 0.1


def test_less_is_taken_of_a_photograph_with_blocks() -> None:
    clean = coarse(photograph(1, 128), 2).float()
    both = torch.cat([clean, jpeg(clean, 15)])
    missing = 0.1 * (photograph(2, 128, seed=5) - 0.5).float()
    share = estimated_share(both, missing)
    assert share[0] > 2 * share[1]
    assert float(share[1]) == pytest.approx(LEAST_LIMIT)
    assert torch.equal(share[1:], estimated_share(both[1:], missing[1:]))


def test_too_small_an_image_has_no_blocks() -> None:
    assert blockiness(photograph(2, 63)).tolist() == [0.0, 0.0]
