"""Masks, regions of their own weight, known degradations: what the objective makes of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dmap.degradations import Downscale, GaussianBlur, Inpaint
from dmap.image.regions import Region, blend, divide, feathered, on_latent
from dmap.method.ascent import Ascent, AscentSettings
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.objective import Objective
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from toys import TABLE, SmoothnessPrior, latents, network_denoiser, photograph

SIZE = 32


def decode(latent: Tensor) -> Tensor:
    return torch.sigmoid(torch.nn.functional.interpolate(latent[:, :3], scale_factor=4, mode="bilinear"))


def half(batch: int = 1) -> Tensor:
    """1 on the left half, a soft edge, 0 on the right."""
    ramp = (1.5 - torch.arange(SIZE, dtype=torch.float64) / 8).clamp(0, 1)
    return ramp.expand(batch, 1, SIZE, SIZE).clone()


def quality_gradient(objective: Objective, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective(x).objective.sum(), x)
    return gradient


def of(y: Tensor, **options: object) -> Objective:
    return Objective(SmoothnessPrior(), fidelity("mse"), y, 1.0, 0.0, 0, **options)  # type: ignore[arg-type]


def test_the_prior_sees_the_change_only_inside_the_mask() -> None:
    y, mask = photograph(2, SIZE), half()
    x = (y + 0.1 * torch.rand(y.shape, dtype=y.dtype)).clamp(0, 1)
    objective = of(y, mask=mask)
    assert torch.equal(objective.composite(x)[..., 20:], y[..., 20:])
    gradient = quality_gradient(objective, x)
    assert float(gradient[..., 20:].abs().max()) == 0
    assert float(gradient[..., :8].abs().max()) > 0
    assert torch.equal(objective(x).prior, SmoothnessPrior()(blend(mask, x, y)))


def test_regions_weigh_the_gradient() -> None:
    """Inside a region of weight 3 the prior pulls three times as hard; one of weight 0 it leaves alone."""
    y = photograph(1, SIZE)
    x = (y + 0.1 * torch.rand(y.shape, dtype=y.dtype)).clamp(0, 1)
    where = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.float64)
    where[..., :10] = 1
    single = quality_gradient(of(y, mask=where), x)
    weighted = quality_gradient(of(y, regions=[Region(SmoothnessPrior(), 3.0, where)]), x)
    assert torch.allclose(weighted[..., :9], 3 * single[..., :9], atol=1e-9)
    assert float(weighted[..., 12:].abs().max()) > 0
    off = quality_gradient(of(y, regions=[Region(SmoothnessPrior(), 0.0, where)]), x)
    assert float(off[..., :9].abs().max()) == 0


def test_regions_reported_score_is_a_mean() -> None:
    y = photograph(2, SIZE)
    whole = torch.ones(1, 1, SIZE, SIZE, dtype=torch.float64)
    terms = of(y, regions=[Region(SmoothnessPrior(), 4.0, whole)])(y)
    assert torch.allclose(terms.prior, SmoothnessPrior()(y))
    assert torch.allclose(terms.objective, 4 * SmoothnessPrior()(y))


def test_objective_gradient_with_mask_regions_and_degradation() -> None:
    y, mask = photograph(1, SIZE), half()
    objective = Objective(
        SmoothnessPrior(), fidelity("mse"), y, 1.0, 20.0, 0, degradation=GaussianBlur(1.0), mask=mask,
        regions=[Region(SmoothnessPrior(), 2.0, mask.flip(-2))],
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    x = 0.3 + 0.4 * torch.rand(y.shape, generator=generator, dtype=y.dtype)
    direction = torch.randn(y.shape, generator=generator, dtype=y.dtype)
    gradient, step = quality_gradient(objective, x), 1e-6
    ahead, behind = (objective(x + s * step * direction).objective.sum() for s in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("width", [0, 1, 6])
def test_feathering_stays_inside_the_mask(width: int) -> None:
    mask = torch.zeros(1, 1, 50, 40)
    mask[..., 5:30, 5:30] = 1
    mask[..., 44, 2:38] = 1  # a scratch
    soft = feathered(mask, width)
    assert float(soft[mask == 0].abs().max()) == 0
    assert float(soft[..., 17, 17]) == 1
    assert float(soft[..., 44, 20]) == pytest.approx(1)
    rising = soft[0, 0, 17, 5:18]
    assert bool((rising[1:] >= rising[:-1] - 1e-6).all())
    assert float(rising[0]) == pytest.approx(1 / max(width, 1))
    grey = feathered(torch.full((1, 1, 20, 20), 0.4), width)
    assert torch.allclose(grey, torch.full_like(grey, 0.4), atol=1e-6)


@pytest.mark.parametrize("width", [2, 5])
def test_feathering_by_its_definition(width: int) -> None:
    """Squares pooled one by one, as is too slow for a wide feather on a large photograph."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.nn.functional.max_pool2d(
        torch.rand(2, 1, 40, 61, generator=generator).sub(0.97).clamp(min=0), 13, 1, 6
    )
    eroded, total = [mask], torch.zeros_like(mask)
    for _ in range(width - 1):
        eroded.append(-torch.nn.functional.max_pool2d(-eroded[-1], 3, 1, 1))
    for step in eroded:
        total = total + step / width
    core, around = (torch.nn.functional.max_pool2d(x, 2 * width + 1, 1, width) for x in (total, mask))
    assert torch.equal(feathered(mask, width), torch.minimum(total / core.clamp(min=1e-6) * around, mask))
    assert 0 < float(feathered(mask, width).mean()) < float(mask.mean())


def test_latent_positions_of_a_mask_have_a_margin() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 15, 15] = 0.01
    reached = on_latent(mask, (8, 8))
    assert reached.sum() == 9
    assert float(reached[0, 0, 3, 3]) == 1


def test_an_ascent_with_a_mask_leaves_the_rest_alone() -> None:
    latent, mask = latents(), half(1)
    path = make_solver("residual_ddim").invert(network_denoiser(), Schedule.from_table(TABLE, 3, 0.4), latent)
    y = decode(latent)
    objective = Objective(SmoothnessPrior(), fidelity("mse"), y, 1.0, 20.0, 0, mask=mask)
    ascent = Ascent(
        Chain(path, network_denoiser(), decode), objective, AscentSettings(3, "adam", 0.02, 101.0),
        movable=on_latent(mask, (8, 8)),
    )  # fmt: skip
    ascent.run()
    assert ascent.image is not None
    assert torch.equal(ascent.image[..., 20:], y[..., 20:].clamp(0, 1))
    assert float((ascent.image - y)[..., :8].abs().max()) > 1e-3
    moved = (ascent.path.state - path.state).abs().amax(dim=(0, 1, 2, 3))
    assert float(moved[-1]) < 1e-12 < 1e-3 < float(moved[0])


def test_super_resolution_compares_with_the_small_photograph() -> None:
    sharp = photograph(1, SIZE)
    small = Downscale(2.0)(sharp)
    backdrop = torch.nn.functional.interpolate(small, scale_factor=2, mode="bicubic")
    objective = Objective(
        SmoothnessPrior(), fidelity("mse"), small, 1.0, 20.0, 0, degradation=Downscale(2.0), backdrop=backdrop
    )
    assert float(objective(sharp).fidelity) < 1e-12 < float(objective(backdrop).fidelity)


def test_filling_a_hole_is_not_held_to_what_lies_in_it() -> None:
    y, hole = photograph(1, SIZE), torch.zeros(1, 1, SIZE, SIZE, dtype=torch.float64)
    hole[..., 8:16, 8:16] = 1
    spoilt = torch.where(hole > 0, 1.0, y)
    objective = Objective(SmoothnessPrior(), fidelity("mse"), spoilt, 1.0, 20.0, 0, degradation=Inpaint(hole))
    assert float(objective(y).fidelity) == 0


def test_bad_regions_are_named() -> None:
    y, whole = photograph(1, SIZE), torch.ones(1, 1, SIZE, SIZE)
    with pytest.raises(ValueError, match="no mask"):
        divide(SmoothnessPrior(), None, [Region(SmoothnessPrior())])
    with pytest.raises(ValueError, match="weight"):
        Region(SmoothnessPrior(), -1.0, whole)
    with pytest.raises(ValueError, match="no part of the image"):
        of(y, regions=[Region(SmoothnessPrior(), 0.0, whole)])
