"""Properties that every registered fidelity must have, and published values."""

import pytest
import torch

from dmap.method.fidelity import FIDELITIES, fidelity
from dmap.method.fidelity.nlpd import NLPD
from toys import photograph

each = pytest.mark.parametrize("name", list(FIDELITIES))


def pair(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    y = photograph(2, 192).to(dtype)
    generator = torch.Generator().manual_seed(1)
    return (y + 0.05 * torch.randn(y.shape, generator=generator, dtype=torch.float64).to(dtype)), y


@each
def test_zero_at_equality_and_positive_elsewhere(name: str) -> None:
    x, y = pair()
    assert fidelity(name)(y, y).abs().max() < 1e-6
    assert (fidelity(name)(x, y) > 1e-5).all()


@each
def test_symmetric(name: str) -> None:
    x, y = pair()
    assert torch.allclose(fidelity(name)(x, y), fidelity(name)(y, x), rtol=1e-6)


@each
def test_batch_equals_singles(name: str) -> None:
    x, y = pair()
    both = fidelity(name)(x, y)
    assert both.shape == (2,)
    for i in range(2):
        assert torch.allclose(both[i : i + 1], fidelity(name)(x[i : i + 1], y[i : i + 1]), rtol=1e-9)


@each
def test_gradient_against_finite_differences(name: str) -> None:
    x, y = pair()
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(fidelity(name)(x, y).sum(), x)
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(2))
    step = 1e-8  # the roots under the terms are smooth on a scale of 1e-6
    with torch.no_grad():
        ahead, behind = (fidelity(name)(x + s * step * direction, y).sum() for s in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float((ahead - behind) / (2 * step)), rel=1e-4)


@each
def test_gradient_is_finite_where_the_image_is_the_photograph(name: str) -> None:
    y = pair(torch.float32)[1]
    x = y.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(fidelity(name)(x, y).sum(), x)
    assert torch.isfinite(gradient).all()


@each
def test_grows_with_the_change(name: str) -> None:
    y = photograph(1, 192)
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=y.dtype)
    distances = [float(fidelity(name)(y + level * noise, y)) for level in (0.01, 0.03, 0.1, 0.3)]
    assert distances == sorted(distances)


@each
def test_dtype_is_kept(name: str) -> None:
    x, y = pair(torch.float32)
    assert fidelity(name)(x, y).dtype is torch.float32


@each
def test_sizes_are_checked(name: str) -> None:
    x, y = pair()
    with pytest.raises(ValueError, match=name):
        fidelity(name)(x, y[..., :-1])
    smallest = FIDELITIES[name].min_size
    if smallest > 1:
        with pytest.raises(ValueError, match=f"{name}.*{smallest} px"):
            fidelity(name)(x[..., : smallest - 1], y[..., : smallest - 1])
    assert torch.isfinite(fidelity(name)(x[..., :smallest, :smallest], y[..., :smallest, :smallest])).all()


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="fidelity: got 'psnr'"):
        fidelity("psnr")


def test_mse_and_l1_by_hand() -> None:
    x, y = torch.full((1, 3, 4, 4), 0.75), torch.full((1, 3, 4, 4), 0.25)
    assert float(fidelity("mse")(x, y)) == pytest.approx(0.25)
    assert float(fidelity("l1")(x, y)) == pytest.approx(0.5, abs=2e-3)


@pytest.mark.parametrize("odd", [0, 5])
def test_nlpd_agrees_with_pyiqa(odd: int) -> None:
    """Band by band on each colour channel; pyiqa's own three-channel mode interleaves the colours when it interpolates.

    The low-pass band counts as a level there as it does here.
    """
    from pyiqa.archs import nlpd_arch

    x, y = pair(torch.float32)
    x, y = x[..., : 192 - odd, :].clamp(0, 1), y[..., : 192 - odd, :]
    reference, ours = nlpd_arch.NLPD(channels=1, k=5), NLPD()
    for channel in range(3):
        for band, expected in zip(ours.bands(x), reference.pyramid(x[:, channel : channel + 1]), strict=True):
            assert torch.allclose(band[:, channel : channel + 1], expected, rtol=1e-4, atol=1e-5)
    x, y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    roots = [
        (a - b).square().mean(dim=(1, 2, 3)).sqrt()
        for a, b in zip(reference.pyramid(x), reference.pyramid(y), strict=True)
    ]
    expected = torch.stack(roots).mean(dim=0)
    assert torch.allclose(ours.distance(x, y), expected, rtol=1e-4)


def test_ssim_agrees_with_pyiqa() -> None:
    from pyiqa.archs.ssim_arch import ms_ssim, ssim

    x, y = (image.clamp(0, 1) for image in pair())
    window = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = (torch.outer(window, window) / window.sum() ** 2).expand(3, 1, 11, 11)
    options = {"win": window, "data_range": 1.0}
    assert torch.allclose(
        1 - fidelity("ssim")(x, y), ssim(x * 255, y * 255, **{**options, "data_range": 255.0}), atol=1e-5
    )
    # The same scales and weights; pyiqa multiplies means over colour channels, we mean over them first.
    assert torch.allclose(
        1 - fidelity("ms_ssim")(x, y), ms_ssim(x * 255, y * 255, win=window, data_range=255.0), atol=5e-3
    )
