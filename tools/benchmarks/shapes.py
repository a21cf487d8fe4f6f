"""Memory of Stable Diffusion's real architectures, from shapes alone: ``python -m tools.benchmarks.shapes``.

Networks with fake weights (shapes without data) take an ascent step with fake images; ``dmap.memory`` counts the
tensors as it does before every run. Nothing is computed, so sizes that no machine at hand holds can be asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from dmap.image.layout import Layout
from dmap.image.tiles import tiled_fidelity, tiled_prior
from dmap.memory.decoding import LEVELS
from dmap.memory.plan import Evaluation, Needs, gib
from dmap.method.fidelity import fidelity
from dmap.method.objective import Objective
from dmap.models.diffusers_adapter import from_diffusers
from dmap.models.diffusion import LatentDiffusion
from dmap.models.empty_text import Conditioning
from dmap.priors import load_prior
from tools.benchmarks.step import head, random_networks, row

CASES = (
    ("sd15", 512, 0), ("sd15", 768, 0), ("sd15", 2048, 512), ("sd2", 768, 0),
    ("sdxl", 1024, 0), ("sdxl", 2048, 1024),
)  # fmt: skip
"""Architecture, side in pixels, side of the tiles (0 = whole)."""


def fake(module: nn.Module, mode: FakeTensorMode) -> None:
    """Put fake tensors of the CPU in place of a module's parameters and buffers."""
    for part in module.modules():
        for table in (part._parameters, part._buffers):
            for name, tensor in list(table.items()):
                if tensor is not None:
                    with mode:
                        empty = torch.empty(tensor.shape, dtype=tensor.dtype)
                    table[name] = nn.Parameter(empty, requires_grad=False)


def fake_model(kind: str, dtype: torch.dtype, mode: FakeTensorMode) -> tuple[LatentDiffusion, int]:
    """An architecture without data, and the bytes of its weights."""
    unet, vae, meta = random_networks(kind, torch.device("meta"), dtype)
    for module in (unet, vae):
        fake(module, mode)
    with mode:
        pooled = None if meta.pooled is None else torch.empty(meta.pooled.shape)
        conditioning = Conditioning(torch.empty(meta.context.shape), pooled)
    weights = sum(p.numel() * p.element_size() for module in (unet, vae) for p in module.parameters())
    return from_diffusers(unet, vae, conditioning), weights


def needs(kind: str, side: int, tile: int, level: str, dtype: torch.dtype) -> tuple[int, Needs]:
    """Bytes of the weights, and what a step needs beside them."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    model, weights = fake_model(kind, dtype, mode)
    layout, sigma = Layout(tile=tile, overlap=tile // 8), torch.tensor(1.0)
    prior = load_prior("dmap_quality").requires_grad_(False)
    with mode:
        image, latent = torch.empty(1, 3, side, side), torch.empty(1, 4, side // 8, side // 8)
    objective = Objective(tiled_prior(prior, layout), tiled_fidelity(fidelity("nlpd_colour"), layout), image, shift=0)

    def call(u: Tensor) -> Tensor:
        return model.denoise(u, sigma)

    def score(x: Tensor) -> Tensor:
        return objective(x).objective

    decoding = model.decoding()
    while decoding.name != level and decoding.lighter():
        pass
    return weights, Evaluation(call, decoding, score, latent, image, 1, tile // 8).needs()


def tables(dtype: torch.dtype) -> Iterator[str]:
    """A row for each case and level of the decoder."""
    columns = ("weights", "a call", "decoder's peak", "a step's tensors", "stated", "stated with weights")
    yield from head("model, side, tiles", "decoder", *columns)
    for kind, side, tile in CASES:
        for level in LEVELS:
            weights, found = needs(kind, side, tile, level, dtype)
            stated = found.peak(0)
            tensors = max(found.call.peak, found.decoder.peak, found.decoder.kept + found.objective.peak)
            parts = (weights, found.call.peak, found.decoder.peak, tensors, stated, stated + weights)
            yield row(f"{kind}, {side} px, {tile or 'whole'}", level, *(gib(x) for x in parts))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.shapes", description=__doc__)
    parser.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16", help="of the networks (default: bf16)")
    options = parser.parse_args(arguments)
    for line in tables({"bf16": torch.bfloat16, "fp32": torch.float32}[options.dtype]):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
