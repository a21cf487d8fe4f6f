"""Properties that every registered degradation must have, and comparisons with what they stand for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dmap.degradations import (
    DEGRADATIONS,
    JPEG,
    Composed,
    Degradation,
    Downscale,
    GaussianBlur,
    Inpaint,
    MotionBlur,
)
from dmap.degradations import synthetic as degrade
from dmap.degradations.blur import gaussian_kernel, motion_kernel
from toys import photograph


def soft_mask(height: int, width: int) -> Tensor:
    ramp = torch.linspace(0, 1, width, dtype=torch.float64).expand(height, width)
    return ramp[None, None].clone()


EXAMPLES: dict[str, Callable[[], Degradation]] = {
    "downscale": lambda: Downscale(3.0),
    "gaussian_blur": lambda: GaussianBlur(1.2),
    "motion_blur": lambda: MotionBlur(7.0, 30.0),
    "jpeg": lambda: JPEG(40),
    "inpaint": lambda: Inpaint(soft_mask(20, 20)),
    "composed": lambda: Composed([GaussianBlur(0.8), Downscale(2.0), Inpaint(soft_mask(10, 10))]),
}
each = pytest.mark.parametrize("name", list(DEGRADATIONS))


def test_every_registered_one_is_tested() -> None:
    assert set(EXAMPLES) == set(DEGRADATIONS)


@each
def test_gradient_against_finite_differences(name: str) -> None:
    """Along random directions; the step is below the distance to JPEG's nearest rounding."""
    degrade, generator = EXAMPLES[name](), torch.Generator().manual_seed(0)
    x = photograph(2, 32).requires_grad_(True)
    result = degrade(x)
    weights = torch.randn(result.shape, generator=generator, dtype=x.dtype)
    (gradient,) = torch.autograd.grad((result * weights).sum(), x)
    assert float(gradient.abs().max()) > 0
    for _ in range(3):
        direction, step = torch.randn(x.shape, generator=generator, dtype=x.dtype), 1e-7
        with torch.no_grad():
            ahead, behind = ((degrade(x + s * step * direction) * weights).sum() for s in (1, -1))
        slope = float((ahead - behind) / (2 * step))
        assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-5)


@each
def test_linear_ones_are_linear_and_their_backward_pass_is_the_adjoint(name: str) -> None:
    """The matrix, built column by column from forward passes, is transposed by the backward pass."""
    degrade, size = EXAMPLES[name](), (9, 7)
    generator = torch.Generator().manual_seed(1)
    x, other = (torch.rand(1, 3, *size, generator=generator, dtype=torch.float64) for _ in range(2))
    additive = torch.allclose(degrade(2 * x - 3 * other), 2 * degrade(x) - 3 * degrade(other), atol=1e-10)
    assert additive == degrade.linear
    if not degrade.linear:
        return
    basis = torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *x.shape[1:])
    columns = torch.cat([degrade(column[None]) for column in basis]).flatten(1)
    y = torch.rand(columns.shape[1], generator=generator, dtype=torch.float64)
    x.requires_grad_(True)
    (adjoint,) = torch.autograd.grad((degrade(x).flatten() * y).sum(), x)
    assert torch.allclose(adjoint.flatten(), columns @ y, atol=1e-12)


@each
@pytest.mark.parametrize("size", [(33, 50), (64, 64), (5, 31)])
def test_any_size(name: str, size: tuple[int, int]) -> None:
    degrade = EXAMPLES[name]()
    result = degrade(torch.rand(1, 3, *size))
    assert tuple(result.shape) == (1, 3, *degrade.size(*size))
    assert result.dtype is torch.float32
    assert torch.isfinite(result).all()
    assert degrade.observed(result).shape == result.shape


@each
def test_batch_equals_singles(name: str) -> None:
    degrade, x = EXAMPLES[name](), photograph(2, 32)
    both = degrade(x)
    for index in range(2):
        assert torch.allclose(both[index], degrade(x[index : index + 1])[0], atol=1e-12)


@pytest.mark.parametrize("kernel", [gaussian_kernel(1.7), motion_kernel(9.0, 45.0), motion_kernel(0.3, 10.0)])
def test_kernels_are_normalised_and_centred(kernel: Tensor) -> None:
    assert float(kernel.sum()) == pytest.approx(1)
    assert float(kernel.min()) >= 0
    offsets = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
    assert float((kernel.sum(0) * offsets).sum()) == pytest.approx(0, abs=1e-9)
    assert float((kernel.sum(1) * offsets).sum()) == pytest.approx(0, abs=1e-9)


def test_motion_goes_where_the_angle_says() -> None:
    """A dot becomes a line: along the row at 0 degrees, along the column at 90."""
    dot = torch.zeros(1, 3, 21, 21, dtype=torch.float64)
    dot[..., 10, 10] = 1
    flat, steep = MotionBlur(9.0, 0.0)(dot)[0, 0], MotionBlur(9.0, 90.0)(dot)[0, 0]
    assert float(flat[10, 5:16].sum()) == pytest.approx(1, abs=1e-6)
    assert torch.allclose(flat, steep.T, atol=1e-9)
    rising = MotionBlur(9.0, 45.0)(dot)[0, 0]
    assert float(rising[7, 13]) > 0.05 > float(rising[13, 13])


def test_jpeg_is_near_the_real_one() -> None:
    """A real encoder rounds, the differentiable one nearly: both move the picture the same way."""
    x = photograph(1, 64).float()
    ours, real = JPEG(30)(x), degrade.jpeg(x, 30)
    assert float((ours - real).abs().mean()) < 0.35 * float((real - x).abs().mean())


def test_gaussian_blur_is_the_one_of_training() -> None:
    """But for the borders, which are repeated here and mirrored there."""
    x = photograph(1, 64).float()
    ours, theirs = GaussianBlur(1.3)(x), degrade.gaussian_blur(x, 1.3)
    assert torch.allclose(ours[..., 8:-8, 8:-8], theirs[..., 8:-8, 8:-8], atol=2e-3)


def test_composition_keeps_the_order_in_which_things_happened() -> None:
    x, small, soft = photograph(1, 32), Downscale(2.0), GaussianBlur(1.5)
    assert torch.equal(Composed([soft, small])(x), small(soft(x)))
    assert not torch.allclose(Composed([small, soft])(x), small(soft(x)), atol=1e-3)


def test_what_inpainting_loses_does_not_count() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:9, 4:9] = 1
    lost, y = Composed([GaussianBlur(0.7), Inpaint(mask)]), torch.rand(1, 3, 16, 16)
    scratched = torch.where(mask > 0, 1.0, y)
    assert torch.equal(lost.observed(scratched), lost.observed(y))


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: Downscale(0.5), "factor"),
        (lambda: GaussianBlur(0.0), "sigma"),
        (lambda: MotionBlur(0.0), "length"),
        (lambda: JPEG(0), "quality"),
        (lambda: Inpaint(torch.zeros(4, 4)), "mask"),
        (lambda: Inpaint(torch.full((1, 1, 4, 4), 2.0)), "mask"),
        (lambda: Inpaint(torch.cat([torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)])), "mask: got 1 everywhere"),
        (lambda: Composed([]), "none given"),
        (lambda: Composed([Inpaint(soft_mask(8, 8)), GaussianBlur(1.0)]), "Inpaint Mask last"),
        (lambda: Composed([Composed([JPEG(50), Inpaint(soft_mask(8, 8))]), Downscale(2.0)]), "Inpaint Mask last"),
    ],
)
def test_bad_values_are_named(build: Callable[[], object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        build()
