"""A network by blocks: the same to the bit, in a fraction of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dmap.memory.blocks import Denoising, blocks_of
from dmap.memory.checkpoint import checkpoint_tree
from dmap.memory.plan import measure
from dmap.method.chain import Chain, checkpoint_calls, keep_activations
from dmap.method.gradients import GradientStrategy
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from dmap.models import LatentDenoiser
from toys import TABLE, latents


class Block(nn.Module):
    """A transformer's block of two streams; writes in place, as Flux' does, and reads a place that moves on."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
        self.double().requires_grad_(False)

    def forward(self, image: Tensor, text: Tensor, facts: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        image += self.two(torch.tanh(self.one(image)) * (1 + facts["index"])) + text.mean(dim=1, keepdim=True)
        if facts["last"]:
            return image, None
        text += torch.sin(image.mean(dim=1, keepdim=True))  # of the first block it needs no gradient
        return image, text


class Transformer(nn.Module):
    """Blocks in a list, with something in place between them, as a ControlNet's signal is added."""

    def __init__(self, depth: int = 4, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(width, seed) for seed in range(depth))

    def forward(self, u: Tensor) -> Tensor:
        image = u.flatten(2).movedim(1, 2) * 1.0
        text: Tensor | None = torch.ones(len(u), 3, u.shape[1], dtype=u.dtype)
        facts: dict[str, Any] = {}
        for index, block in enumerate(self.layers):
            facts["index"], facts["last"] = index, index + 1 == len(self.layers)
            image, text = block(image, text=text, facts=facts)
            image += 0.1 * index
        return image.movedim(1, 2).reshape(u.shape)


def denoising(network: nn.Module, by_blocks: bool) -> Denoising:
    made = Denoising(lambda u, sigma: u - sigma * network(u), network)
    assert not by_blocks or made.lighter()
    return made


def gradient(by_blocks: bool, strategy: GradientStrategy) -> tuple[Tensor, Tensor]:
    network = Transformer()
    path = make_solver("residual_ddim").invert(denoising(network, False), Schedule.from_table(TABLE, 3, 0.2), latents())
    chain = Chain(path, denoising(network, by_blocks), lambda latent: torch.sin(latent), strategy)
    z = chain.start().requires_grad_(True)
    image = chain(z)
    (found,) = torch.autograd.grad((image * latents(seed=5)).sum(), z)
    assert all("forward" not in block.__dict__ for block in network.layers)
    return image.detach(), found


@pytest.mark.parametrize("strategy", [keep_activations, checkpoint_calls])
def test_by_blocks_is_the_same_to_the_bit(strategy: GradientStrategy) -> None:
    for whole, blocks in zip(gradient(False, strategy), gradient(True, strategy), strict=True):
        assert torch.equal(whole, blocks)


def test_by_blocks_needs_a_fraction_of_the_memory() -> None:
    """What is kept is what enters the blocks."""
    network, u = Transformer(depth=12, width=8), latents(1, 8, 32)
    whole, blocks = (measure(lambda x: denoising(network, level)(x, torch.ones(())), u) for level in (False, True))  # noqa: B023
    assert blocks.kept < 0.3 * whole.kept
    assert blocks.peak < 0.5 * whole.peak


def test_the_shipped_network_has_blocks() -> None:
    network = LatentDenoiser(widths=(16, 32), heads=2).requires_grad_(False)
    assert len(blocks_of(network)) == 2 + 3 + 4
    made = [Denoising(lambda u, sigma: network(u, sigma.expand(len(u))), network) for _ in range(2)]
    assert made[1].lighter()
    assert not made[1].lighter()
    found = []
    for one in made:
        u = latents(1, 8, 16, torch.float32).requires_grad_(True)
        found.append(torch.autograd.grad(one(u, torch.tensor(3.0)).square().sum(), u)[0])
    # A U-Net's skips are summed in another order: equal to rounding.
    assert torch.allclose(*found, rtol=1e-4, atol=1e-5)


def test_a_network_without_blocks_stays_as_it_is() -> None:
    assert not Denoising(lambda u, sigma: u, nn.Conv2d(4, 4, 1)).lighter()
    assert not Denoising(lambda u, sigma: u).lighter()


@pytest.mark.parametrize("changed", ["list", "dict"])
def test_structures_are_taken_as_they_were(changed: str) -> None:
    """The backward pass calls the function again, when what it was given may have moved on."""
    x = latents().requires_grad_(True)
    scales, facts = [2.0], {"scale": 2.0}

    def function(x: Tensor, scales: list[float], facts: dict[str, float]) -> list[Tensor]:
        return [x.exp() * scales[0] * facts["scale"]]

    (result,) = checkpoint_tree(function, (x, scales), {"facts": facts})
    expected = 4 * x.detach().exp()
    (scales if changed == "list" else facts)[0 if changed == "list" else "scale"] = 7.0  # type: ignore[index]
    assert torch.equal(torch.autograd.grad(result.sum(), x)[0], expected)


def test_blocks_are_given_back_after_an_error() -> None:
    network = Transformer()
    broken: Callable[..., Tensor] = lambda u, sigma: network(u) + network.layers[9]  # type: ignore[index] # noqa: E731
    made = Denoising(broken, network)
    made.lighter()
    with pytest.raises(IndexError):
        made(latents().requires_grad_(True), torch.ones(()))
    assert all("forward" not in block.__dict__ for block in network.layers)
