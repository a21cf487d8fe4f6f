"""Large pictures by tiles: the blend, the gradient, and that no seams show."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from dmap.image.files import to_tensor
from dmap.image.layout import Layout
from dmap.image.tiles import TiledFidelity, TiledPrior, cut, lay_out, starts, tiled_decoder, tiled_denoiser
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.schedule import Schedule
from dmap.method.solvers import SOLVERS, make_solver, round_trip_error
from dmap.models.diffusion import shipped
from tools.benchmarks.tiles import borders, by_tiles, last, seam, small_step
from toys import TABLE, SmoothnessPrior, network_denoiser, photograph

SAMPLE = Path(__file__).resolve().parent.parent / "workflows" / "dmap_sample.png"


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(10, 16, 4), (16, 16, 4), (17, 16, 4), (100, 16, 4), (99, 7, 0)]
)
def test_tiles_cover_everything(length: int, tile: int, overlap: int) -> None:
    begins, side = starts(length, tile, overlap), min(tile, length)
    assert begins[0] == 0
    assert begins[-1] + side == length
    assert all(left + side - right >= overlap for left, right in itertools.pairwise(begins))


@pytest.mark.parametrize("scale", [1, 4])
def test_weights_add_up_to_one_and_fade_at_inner_borders(scale: int) -> None:
    total = torch.zeros(45 * scale, 70 * scale, dtype=torch.float64)
    parts = cut((45, 70), 24, 8, total, scale)
    for part in parts:
        part.of(total).add_(part.weight)
    assert torch.allclose(total, torch.ones_like(total))
    first = parts[0].weight
    assert float(first[0, 0]) == pytest.approx(1)
    assert float(first[-1, -1]) < 0.01


def test_pointwise_functions_do_not_notice_the_tiles() -> None:
    u = torch.randn(2, 3, 40, 30, dtype=torch.float64)
    joined = tiled_denoiser(lambda x, sigma: torch.tanh(x) * sigma, 16, 4)(u, torch.tensor(0.7))
    assert torch.allclose(joined, torch.tanh(u) * 0.7)
    decode = tiled_decoder(lambda z: z.repeat_interleave(4, 2).repeat_interleave(4, 3), 4, 16, 4, None)
    assert torch.allclose(decode(u), u.repeat_interleave(4, 2).repeat_interleave(4, 3))


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_the_round_trip_stays_exact_and_the_gradient_true(solver: str) -> None:
    denoise = tiled_denoiser(network_denoiser(), 8, 2)
    latent = torch.randn(1, 4, 14, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    method = make_solver(solver)
    path = method.invert(denoise, Schedule.from_table(TABLE, 3, 0.3), latent)
    assert float(round_trip_error(method, denoise, path)) < 1e-9
    decode = tiled_decoder(
        lambda z: torch.sigmoid(z[:, :3]).repeat_interleave(2, 2).repeat_interleave(2, 3), 2, 8, 2, None
    )
    chain = Chain(path, denoise, decode)
    z = chain.start().requires_grad_(True)
    weights = torch.randn(1, 3, 28, 24, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((chain(z) * weights).sum(), z)
    direction, step = torch.randn_like(z), 1e-6
    with torch.no_grad():
        ahead, behind = ((chain(z + s * step * direction) * weights).sum() for s in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-5)


def test_tiled_prior_and_fidelity_are_means_with_exact_gradients() -> None:
    y = photograph(2, 96)
    x = (y + 0.05 * torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0))).requires_grad_(
        True
    )
    prior, distance = TiledPrior(SmoothnessPrior(), 40, 8), TiledFidelity(fidelity("mse"), 40, 8)
    assert torch.allclose(prior(x), SmoothnessPrior()(x), rtol=0.05)
    assert torch.allclose(distance(x, y), fidelity("mse")(x, y), rtol=0.05)
    for value in (lambda z: prior(z).sum(), lambda z: distance(z, y).sum()):
        (gradient,) = torch.autograd.grad(value(x), x)
        direction, step = torch.randn_like(x), 1e-6
        with torch.no_grad():
            slope = float((value(x + step * direction) - value(x - step * direction)) / (2 * step))
        assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4)


def flat_gradient(height: int, width: int) -> Tensor:
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)[None]
    return torch.stack(
        [0.3 + 0.3 * columns + 0 * rows, 0.3 + 0.2 * rows + 0.1 * columns, 0.6 - 0.2 * rows + 0 * columns]
    )[None]


@pytest.mark.parametrize(("subject", "tile"), [("gradient", 64), ("large gradient", 256), ("photograph", 64)])
def test_no_seams(subject: str, tile: int) -> None:
    """The shipped models, an ascent by tiles: steps at the tiles' borders are no larger than elsewhere."""
    if subject == "photograph":
        with Image.open(SAMPLE) as image:
            y = to_tensor(image)[None, :, 60:172, 100:212].float() / 255
    else:
        y = flat_gradient(*((64, 160) if subject == "gradient" else (64, 768)))
    settings = replace(small_step(tile, 1, 0.03), overlap=16, steps=1, strength=0.3)
    ascent = by_tiles(shipped(), y, settings)
    layout = ascent.path.layout
    ascent.run()
    change = last(ascent) - y
    assert float(change.abs().max()) > 1e-3
    for dim in (-1, -2):
        lines = borders(y.shape[dim], layout, 4)
        assert not lines or seam(change, lines, dim, 4) < 1.3


def test_seams_would_be_seen() -> None:
    """The measure itself: tiles side by side with a step of one grey level between them."""
    change = 0.01 * torch.randn(1, 3, 64, 192, generator=torch.Generator().manual_seed(0))
    assert seam(change, [96], -1, 4) < 1.3
    change[..., 96:] += 0.05
    assert seam(change, [96], -1, 4) > 2


def test_tiles_of_another_brightness_are_matched() -> None:
    """A decoder that normalises over what it sees, as group normalisation does: tiles come in other brightness."""

    def decode(z: Tensor) -> Tensor:
        return 0.5 + (z - z.mean(dim=(2, 3), keepdim=True)).repeat_interleave(4, 2).repeat_interleave(4, 3)

    latent = flat_gradient(32, 40).double() - 0.5
    y = decode(latent)
    layout = Layout(tile=64, overlap=16)
    results = [lay_out(network_denoiser(), decode, layout, 4, latent, known)[1](latent) for known in (None, y)]
    errors = [float((result - y).abs().mean()) for result in results]
    assert errors[1] < 1e-3 < 0.02 < errors[0]


def test_only_one_tiles_activations_are_kept() -> None:
    """The largest tensor that the network saves at a time belongs to one tile."""
    sizes: list[int] = []
    inner = network_denoiser()

    def denoise(u: Tensor, sigma: Tensor) -> Tensor:
        sizes.append(max(u.shape[-2:]))
        return inner(u, sigma)

    u = torch.randn(1, 4, 40, 40, dtype=torch.float64, requires_grad=True)
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        result = tiled_denoiser(denoise, 16, 4)(u, torch.tensor(0.5))
    assert max(sizes) == 16
    assert max(saved) <= 4 * 16 * 16
    result.sum().backward()


def test_layouts_are_checked() -> None:
    with pytest.raises(ValueError, match="tile: got 10"):
        Layout(tile=10)
    with pytest.raises(ValueError, match="overlap: got 300"):
        Layout(tile=512, overlap=300)
    assert Layout(30, 40).crop(torch.zeros(1, 3, 32, 44)).shape == (1, 3, 30, 40)
