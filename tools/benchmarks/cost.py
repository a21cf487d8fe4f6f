"""What an ascent step costs: ``python -m tools.benchmarks.cost --help``.

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

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dmap.memory.decoding import LEVELS
from dmap.memory.plan import gib
from dmap.method.gradients import ALL, GRADIENTS, GradientStrategy, SparseJacobian, make_gradient
from dmap.method.solvers import SOLVERS, make_solver
from dmap.models.choice import DTYPES
from dmap.models.diffusion import LatentDiffusion
from tools.benchmarks.climbs import cases
from tools.benchmarks.step import KINDS, Bench, cosines, head, load, relative_error, row, store_as


def _named(strategy: GradientStrategy) -> str:
    return f"{strategy.name}, every {strategy.period}" if isinstance(strategy, SparseJacobian) else strategy.name


def strategies(bench: Bench, _: argparse.Namespace) -> Iterator[str]:
    """Strategies x solvers x steps, and Jacobians at fewer steps than ``sparse`` offers."""
    yield from head("solver, steps, strength", "gradient", "F", "time in forward passes", "peak memory", "stated",
                    "cosine, median", "cosine, least")  # fmt: skip
    offered = [make_gradient(name, ALL) for name in GRADIENTS]
    for solver, steps, strength in (
        *((name, 4, 0.2) for name in SOLVERS),
        ("residual_ddim", 2, 0.2),
        ("residual_ddim", 4, 0.4),
        ("residual_ddim", 10, 1.0),
    ):
        path = bench.invert(solver, steps, strength)
        unit, needs, exact = bench.forward(path), bench.needs(path), bench.step(path, make_gradient("checkpoint"))
        for strategy in (*offered, *(SparseJacobian(ALL, period) for period in (3, 4) if period <= steps)):
            found = exact if strategy.name == "checkpoint" else bench.step(path, strategy)
            near = cosines(found["gradient"], exact["gradient"])
            taken = strategy.calls(make_solver(solver), steps)[1]
            stated = gib(needs.peak(min(strategy.kept, taken)))
            cost = (found["F"], found["seconds"] / unit, gib(found["bytes"]), stated)
            named = (f"{solver}, {steps}, {strength}", _named(strategy))
            yield row(*named, *cost, float(near.median()), float(near.min()))


def growth(bench: Bench, options: argparse.Namespace) -> Iterator[str]:
    """Passes, time and memory by size, steps and batch: one of them changes, the others are the first named."""
    yield from head("side, steps, batch", "F", "s", "time in forward passes", "peak memory", "stated", "stated / peak")
    first = (options.sizes[0], options.steps[0], options.batches[0])
    wanted = dict.fromkeys(
        (*first[:place], value, *first[place + 1 :])
        for place, found in enumerate((options.sizes, options.steps, options.batches))
        for value in found
    )
    for size, steps, batch in wanted:
        photographs = nn.functional.interpolate(bench.photographs[:1], size=(size, size), mode="bilinear")
        other = Bench(bench.model, photographs.repeat(batch, 1, 1, 1))
        path = other.invert(steps=steps)
        found, forward = other.step(path, make_gradient("keep")), other.forward(path)
        stated = other.needs(path).peak(steps)
        cost = (found["F"], found["seconds"], found["seconds"] / forward, gib(found["bytes"]), gib(stated))
        yield row(f"{size} px, {steps}, {batch}", *cost, stated / max(found["bytes"], 1))


def decoders(bench: Bench, _: argparse.Namespace) -> Iterator[str]:
    """The decoder's levels: the gradient with respect to the clean latent, without the denoiser."""
    yield from head("decoder's gradient", "s", "peak memory", "stated", "cosine", "relative error")
    path = bench.invert(steps=1)
    exact = bench.decode(path, "whole")["gradient"]
    for level in LEVELS:
        found = bench.decode(path, level)
        near = float(cosines(found["gradient"], exact).min())
        off = relative_error(found["gradient"], exact)
        stated = gib(bench.decoder_needs(path, level))
        yield row(level, found["seconds"], gib(found["bytes"]), stated, near, f"{off:.1e}")


def faster(bench: Bench, _: argparse.Namespace) -> Iterator[str]:
    """The denoiser's memory layout, and the denoiser compiled."""
    yield from head("denoiser", "s of a forward pass", "s of a step, keep", "s of a step, checkpoint")
    path, network = bench.invert(), bench.model.modules[0]
    for name in ("contiguous_format", "channels_last", "channels_last, compiled"):
        if name.endswith("compiled"):
            network.compile()
        else:
            network.to(memory_format=getattr(torch, name))  # type: ignore[call-overload]
        yield row(
            name, bench.forward(path), *(bench.step(path, make_gradient(x))["seconds"] for x in ("keep", "checkpoint"))
        )


def precision(bench: Bench, options: argparse.Namespace) -> Iterator[str]:
    """The gradient's error by the networks' dtype, inversion included, against fp32."""
    yield from head("denoiser", "autoencoder", "s", "cosine, median", "cosine, least", "relative error", "round trip")
    full = load(options.model, bench.model.device, torch.float32)
    exact = Bench(full, bench.photographs)
    gradient = exact.step(exact.invert(), make_gradient("checkpoint"))["gradient"]
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
        found = other.step(path, make_gradient("checkpoint"))
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


def arithmetic(bench: Bench, options: argparse.Namespace) -> Iterator[str]:
    """Floating-point operations of a step, and the share of the machine's limit that is reached."""
    yield from head("F a step", "TFLOP a step", "TFLOP/s", "share of the limit")
    path = bench.invert()
    found = bench.step(path, make_gradient("keep"))
    with FlopCounterMode(display=False) as counter:
        bench.step(path, make_gradient("keep"))
    each = counter.get_total_flops() / 2 / 1e12  # of two steps
    speed, peak = each / found["seconds"], options.peak_tflops
    yield row(found["F"], each, speed, f"{speed / peak:.0%}" if peak else "-")


TABLES: dict[str, tuple[str, Callable[[Bench, argparse.Namespace], Iterator[str]]]] = {
    "strategies": ("Gradient strategies, an ascent step", strategies),
    "growth": ("Growth of an ascent step with size, steps and batch, all activations kept", growth),
    "decoders": ("The decoder's gradient", decoders),
    "precision": ("Precision of the networks", precision),
    "arithmetic": ("Arithmetic", arithmetic),
    "faster": ("Layout and compiled networks", faster),  # the last one: it leaves the network compiled
}


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.cost", description=__doc__)
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
    photographs = torch.cat([case.photograph for case in cases(options.photos, options.count, options.size)])
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
