"""Memory: measured right, decoders in less of it, and out-of-memory answered step by step."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from dmap import memory
from dmap.ascent import Ascent, AscentSettings
from dmap.chain import Chain
from dmap.decoding import LEVELS, Decoding
from dmap.diffusion import shipped
from dmap.fidelity import fidelity
from dmap.gradients import ALL, make_gradient
from dmap.models import Autoencoder, load_model
from dmap.objective import Objective
from dmap.schedule import Schedule
from dmap.solvers import make_solver
from toys import TABLE, SmoothnessPrior, latents, network_denoiser


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


def test_levels_need_less_and_less_memory() -> None:
    """What is kept between forward and backward, for the shipped decoder."""
    module = load_model("demo_autoencoder").requires_grad_(False)
    assert isinstance(module, Autoencoder)
    decoding = Decoding(module.decode, module)
    kept = []
    for _ in range(3):
        kept.append(memory.saved_bytes(decoding, torch.randn(1, 8, 96, 96), weights=[module]))
        decoding.lighter()
    whole, blocks, tiles = kept
    assert blocks < 0.7 * whole
    assert tiles < 0.1 * whole


def test_saved_bytes_counts_each_storage_once_and_no_weights() -> None:
    layer = nn.Linear(64, 64, bias=False).requires_grad_(False)
    x = torch.randn(10, 64)
    needed = 10 * 64 * 4
    assert memory.saved_bytes(lambda u: layer(u), x, weights=[layer]) == 0  # linear in x: only weights are saved
    assert memory.saved_bytes(lambda u: layer(u).sin(), x, weights=[layer]) == needed
    assert memory.saved_bytes(lambda u: layer(u) ** 2 * 1.0, x, weights=[layer]) == needed
    meta = nn.Linear(64, 64, bias=False, device="meta").requires_grad_(False)
    assert memory.saved_bytes(lambda u: meta(u).sin(), x.to("meta"), weights=[meta]) == needed


def test_saved_bytes_grow_with_the_shape() -> None:
    model = shipped()
    sizes = [
        memory.saved_bytes(lambda u: model.denoise(u, torch.tensor(1.0)), torch.randn(1, 8, side, side))
        for side in (16, 32, 48)
    ]
    first, second = (later - earlier for earlier, later in itertools.pairwise(sizes))
    assert second / first == pytest.approx((48**2 - 32**2) / (32**2 - 16**2), rel=0.1)


def test_as_many_calls_are_kept_as_fit() -> None:
    needs = memory.Needs(call=100, decode=1000)
    assert needs.kept(0) == 0
    assert needs.kept(2000) == 4
    assert needs.peak(4) <= memory.SHARE * 2000 < needs.peak(5)
    assert needs.peak(0) == 1000


@pytest.mark.parametrize(
    ("free", "kept", "level"),
    [(10**9, 3, "whole"), (100_000, 0, "blocks"), (60_000, 0, "tiles of 16"), (0, 0, LEVELS[-1])],
)
def test_the_plan_fits_the_free_memory(free: int, kept: int, level: str) -> None:
    latent, decoding = latents(1, 4, 64), Decoding(picture)
    strategy, text = memory.plan("auto", lambda u: u.sin().cos(), decoding, latent, 3, free)
    assert (strategy.kept, decoding.name) == (kept, level)
    assert f"{kept} of 3 kept" in text
    assert level in text


def test_a_call_that_does_not_fit_is_never_kept() -> None:
    hungry = Hungry(picture, limit=0)
    strategy, _ = memory.plan("auto", hungry, Decoding(picture), latents(1, 4, 64), 3, 10**9)
    assert hungry.failures == 1
    assert strategy.kept == 0


def test_what_counts_as_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)  # the allocator's own error
    assert memory.is_out_of_memory(caught.value)
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not memory.is_out_of_memory(RuntimeError("shapes do not fit"))


class Hungry:
    """A network or decoder that asks the allocator for too much where more than ``limit`` positions have gradients."""

    def __init__(self, inner: object, limit: int) -> None:
        self.inner, self.limit = inner, limit
        self.failures = 0

    def __call__(self, x: Tensor, *rest: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad and x.shape[-1] > self.limit:
            self.failures += 1
            torch.empty(2**60)
        result: Tensor = self.inner(x, *rest)  # type: ignore[operator]
        return result


def climb(decode: object, kept: int = ALL) -> Ascent:
    latent = latents(1, 4, 48)
    schedule = Schedule.from_table(TABLE, 3, 0.2)
    path = make_solver("residual_ddim").invert(network_denoiser(), schedule, latent)
    objective = Objective(SmoothnessPrior(), fidelity("mse"), torch.sigmoid(latent[:, :3]))
    chain = Chain(path, network_denoiser(), Decoding(decode), make_gradient("auto", kept))  # type: ignore[arg-type]
    return Ascent(chain, objective, AscentSettings(3, "adam", 1e-3, 101.0))


def picture(latent: Tensor) -> Tensor:
    return torch.sigmoid(latent[:, :3])


def test_out_of_memory_is_answered_step_by_step_and_the_result_is_the_same() -> None:
    plain, decode = climb(picture), Hungry(picture, limit=40)
    plain.run()
    ascent = climb(decode)
    ascent.run()
    assert [note.partition("went on with ")[2] for note in ascent.trace.notes] == [
        "activations kept of 1 calls",
        "activations kept of 0 calls",
        *(f"decoder's gradient by {level}" for level in LEVELS[1:]),
    ]
    assert decode.failures == 6
    assert ascent.image is not None
    assert plain.image is not None
    assert torch.allclose(ascent.image, plain.image, atol=1e-12)
    assert [r.objective for r in ascent.trace.rows] == [pytest.approx(r.objective) for r in plain.trace.rows]


def test_out_of_memory_for_good_names_what_to_do_and_keeps_the_best() -> None:
    ascent = climb(picture)
    decode = ascent.chain.decode
    assert isinstance(decode, Decoding)

    def starve(state: Ascent) -> None:
        if len(state.trace.rows) == 2:
            decode._decode = Hungry(picture, limit=0)

    with pytest.raises(MemoryError, match="use a smaller image or batch"):
        ascent.run(starve)
    assert ascent.image is not None
    assert len(ascent.trace.rows) == 2


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(_: Tensor) -> Tensor:
        raise RuntimeError("shapes do not fit")

    ascent = climb(broken)
    with pytest.raises(RuntimeError, match="shapes"):
        ascent.run()
    assert ascent.trace.notes == []
