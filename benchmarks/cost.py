"""What an ascent step costs: ``python -m benchmarks.cost --help``.

Passes are counted, seconds are of this run on this machine (compare them within one table; on a CPU they are of its own
time, so that other work does not count), cosines are to the exact gradient of the same chain. Weights are the shipped
ones, or random ones of Stable Diffusion's architectures: cost does not depend on them, accuracy does.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.step import KINDS, Bench, cosines, load, random_networks, relative_error, store_as
from benchmarks.target import inputs
from dmap.cli.common import DTYPES
from dmap.decoding import HALO, LEVELS
from dmap.denoiser import Denoiser
from dmap.diffusers_adapter import from_diffusers
from dmap.diffusion import LatentDiffusion
from dmap.gradients import GRADIENTS
from dmap.memory import gib, saved_bytes
from dmap.solvers import SOLVERS, make_solver


def row(*cells: object) -> str:
    """A line of Markdown."""
    shown = [f"{x:.4f}" if isinstance(x, float) and abs(x) <= 1 else f"{x:.2f}" if isinstance(x, float) else str(x)
             for x in cells]  # fmt: skip
    return f"| {' | '.join(shown)} |"


def head(*names: str) -> Iterator[str]:
    """A table's head."""
    yield row(*names)
    yield "|" + "---|" * len(names)


def strategies(bench: Bench, _: argparse.Namespace) -> Iterator[str]:
    """Strategies x solvers x steps."""
    yield from head("solver, steps, strength", "gradient", "F", "s", "peak memory", "cosine, median", "cosine, least")
    for solver, steps, strength in (
        *((name, 4, 0.2) for name in SOLVERS),
        ("residual_ddim", 2, 0.2),
        ("residual_ddim", 4, 0.4),
        ("residual_ddim", 10, 1.0),
    ):
        path = bench.invert(solver, steps, strength)
        exact = bench.step(path)
        for name in GRADIENTS:
            found = exact if name == "checkpoint" else bench.step(path, name)
            near = cosines(found["gradient"], exact["gradient"])
            cost = (found["F"], found["seconds"], gib(found["bytes"]))
            yield row(f"{solver}, {steps}, {strength}", name, *cost, float(near.median()), float(near.min()))


def growth(bench: Bench, options: argparse.Namespace) -> Iterator[str]:
    """Passes, seconds and memory by size, steps and batch: one of them changes, the others are the first named."""
    yield from head("side, steps, batch", "F", "s", "s over one forward's", "peak memory", "estimate of what is kept")
    first = (options.sizes[0], options.steps[0], options.batches[0])
    cases = dict.fromkeys(
        (*first[:place], value, *first[place + 1 :])
        for place, found in enumerate((options.sizes, options.steps, options.batches))
        for value in found
    )
    for size, steps, batch in cases:
        photographs = nn.functional.interpolate(bench.photographs[:1], size=(size, size), mode="bilinear")
        other = Bench(bench.model, photographs.repeat(batch, 1, 1, 1))
        path = other.invert(steps=steps)
        found, forward = other.step(path, "keep"), other.forward(path)
        cost = (found["F"], found["seconds"], found["seconds"] / forward, gib(found["bytes"]))
        yield row(f"{size} px, {steps}, {batch}", *cost, gib(other.estimate(path, steps)))


def decoders(bench: Bench, _: argparse.Namespace) -> Iterator[str]:
    """The decoder's levels: the gradient with respect to the clean latent, without the denoiser."""
    yield from head("decoder's gradient", "s", "peak memory", "cosine", "relative error")
    path = bench.invert(steps=1)
    exact = bench.decode(path, "whole")["gradient"]
    for level in LEVELS:
        found = bench.decode(path, level)
        near = float(cosines(found["gradient"], exact).min())
        off = relative_error(found["gradient"], exact)
        yield row(level, found["seconds"], gib(found["bytes"]), near, f"{off:.1e}")


def faster(bench: Bench, _: argparse.Namespace) -> Iterator[str]:
    """The denoiser's memory layout, and the denoiser compiled."""
    yield from head("denoiser", "s of a forward pass", "s of a step, keep", "s of a step, checkpoint")
    path, network = bench.invert(), bench.model.modules[0]
    for name in ("contiguous_format", "channels_last", "channels_last, compiled"):
        if name.endswith("compiled"):
            network.compile()
        else:
            network.to(memory_format=getattr(torch, name))  # type: ignore[call-overload]
        yield row(name, bench.forward(path), *(bench.step(path, x)["seconds"] for x in ("keep", "checkpoint")))


def precision(bench: Bench, options: argparse.Namespace) -> Iterator[str]:
    """The gradient's error by the networks' dtype, inversion included, against fp32."""
    yield from head("denoiser", "autoencoder", "s", "cosine, median", "cosine, least", "relative error", "round trip")
    full = load(options.model, bench.model.device, torch.float32)
    exact = Bench(full, bench.photographs)
    gradient = exact.step(exact.invert())["gradient"]
    for denoiser, autoencoder in (
        ("fp32", "fp32"),
        *((name, name) for name in ("bf16", "fp16")),
        *((name, "fp32") for name in ("bf16", "fp16", "fp8 cast to fp32", "fp8 cast to bf16")),
    ):
        model = _in_precision(options.model, full, denoiser)
        if autoencoder == "fp32":
            model = replace(full, denoise=model.denoise, modules=model.modules)
        other = Bench(model, bench.photographs)
        path = other.invert()
        found = other.step(path)
        near = cosines(found["gradient"], gradient)
        with torch.no_grad():
            back = make_solver("residual_ddim").sample(model.denoise, path)
        errors = (relative_error(found["gradient"], gradient), relative_error(back, path.latent))
        cells = (found["seconds"], float(near.median()), float(near.min()), *(f"{x:.1e}" for x in errors))
        yield row(denoiser, autoencoder, *cells)


def _in_precision(kind: str, full: LatentDiffusion, name: str) -> LatentDiffusion:
    """The model in a dtype, or with its denoiser stored in fp8 and cast for computing."""
    if name == "fp32":
        return full
    model = load(kind, full.device, DTYPES[name.rpartition(" ")[2]])
    if name.startswith("fp8"):
        store_as(model.modules[0], torch.float8_e4m3fn)
    return model


class _Fused(torch.autograd.Function):
    """Stands for attention as accelerators compute it, which saves no matrix of all pairs; the meta device would."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, result)
        return result


def architectures(*_: object) -> Iterator[str]:
    """Memory of the real architectures, from shapes alone (on the meta device, 16 bit)."""
    yield from head("model, side", "weights", "one network call", "decoder, whole", "decoder, a tile of 64")
    meta, sigma = torch.device("meta"), torch.tensor(1.0)
    for kind, side in (("sd15", 512), ("sd15", 2048), ("sdxl", 1024), ("sdxl", 2048)):
        unet, vae, conditioning = random_networks(kind, meta, torch.bfloat16)
        modules = [unet, vae]
        weights = sum(p.numel() * p.element_size() for m in modules for p in m.parameters())
        model = from_diffusers(unet, vae, conditioning, table=torch.linspace(0.1, 10, 1000))

        def call(u: Tensor, denoise: Denoiser = model.denoise) -> Tensor:
            return denoise(u, sigma)

        latent = torch.empty(1, 4, side // 8, side // 8, device=meta)
        tile = latent[..., : 64 + 2 * HALO, : 64 + 2 * HALO]
        fused = mock.patch.object(
            nn.functional, "scaled_dot_product_attention", lambda q, k, v, **_: _Fused.apply(q, k, v)
        )
        with fused:
            needs = (
                saved_bytes(call, latent, weights=modules),
                *(saved_bytes(model.decode, x) for x in (latent, tile)),
            )
        yield row(f"{kind}, {side} px", gib(weights), *(gib(x) for x in needs))


def arithmetic(bench: Bench, options: argparse.Namespace) -> Iterator[str]:
    """Floating-point operations of a step, and the share of the machine's limit that is reached."""
    yield from head("F a step", "TFLOP a step", "TFLOP/s", "share of the limit")
    path = bench.invert()
    found = bench.step(path, "keep")
    with FlopCounterMode(display=False) as counter:
        bench.step(path, "keep")
    each = counter.get_total_flops() / 2 / 1e12  # of two steps
    speed, peak = each / found["seconds"], options.peak_tflops
    yield row(found["F"], each, speed, f"{speed / peak:.0%}" if peak else "-")


TABLES: dict[str, tuple[str, Callable[[Bench, argparse.Namespace], Iterator[str]]]] = {
    "strategies": ("Gradient strategies, an ascent step", strategies),
    "growth": ("Growth of an ascent step with size, steps and batch, all activations kept", growth),
    "decoders": ("The decoder's gradient", decoders),
    "precision": ("Precision of the networks", precision),
    "arithmetic": ("Arithmetic", arithmetic),
    "architectures": ("Memory of the real architectures, 16 bit", architectures),
    "faster": ("Layout and compiled networks", faster),  # the last one: it leaves the network compiled
}


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, required=True, help="file for the tables, Markdown")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), help="which (default: all)")
    parser.add_argument("--model", choices=["shipped", *KINDS], default="shipped", help="which networks")
    parser.add_argument("--size", type=int, default=128, help="side of the central square in pixels")
    parser.add_argument("--count", type=int, default=1, help="photographs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512], help="for growth, pixels")
    parser.add_argument("--steps", type=int, nargs="+", default=[2, 4, 8], help="for growth")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4], help="for growth")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp32")
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="the machine's limit, for its share")
    options = parser.parse_args()
    device = torch.device(options.device)
    _, photographs = inputs(options.photos, options.count, options.size)
    bench = Bench(load(options.model, device, DTYPES[options.dtype]), photographs)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    text = (
        f"{options.model}, {options.count} photographs at {options.size} px, {options.dtype}, {name}, "
        f"PyTorch {torch.__version__}\n"
    )
    for key in options.tables:
        title, make = TABLES[key]
        text += f"\n**{title}**\n\n"
        for line in make(bench, options):
            text += line + "\n"
            print(line, flush=True)
            options.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
