"""What an ascent step costs: ``python -m benchmarks.cost --help``.

Passes are counted, seconds are of this run on this machine (compare them within one table; on a CPU they are of its own
time, so that other work does not count), cosines are to the exact gradient of the same chain. Weights are the shipped
ones, or random ones of Stable Diffusion's architectures: cost does not depend on them, accuracy does.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.meter import Meter
from benchmarks.target import inputs
from dmap.chain import Chain
from dmap.cli.common import DTYPES
from dmap.decoding import HALO, LEVELS, Decoding
from dmap.denoiser import Denoiser
from dmap.diffusers_adapter import ARCHITECTURES, Conditioning, from_diffusers
from dmap.diffusion import LatentDiffusion, shipped
from dmap.fidelity import fidelity
from dmap.gradients import ALL, GRADIENTS, make_gradient
from dmap.memory import Needs, gib, saved_bytes
from dmap.objective import Objective
from dmap.path import Path as LatentPath
from dmap.presets import values
from dmap.priors import load_prior
from dmap.schedule import Schedule
from dmap.solvers import SOLVERS, make_solver

KINDS = {"sd15": 768, "sd2": 1024, "sdxl": 2048}


def random_networks(kind: str, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any, Conditioning]:
    """U-Net, autoencoder and conditioning of a real architecture; on the meta device they cost nothing."""
    import diffusers

    build: Any = diffusers  # untyped
    width = KINDS[kind]
    with torch.device(device):
        torch.manual_seed(0)
        unet = build.UNet2DConditionModel(**ARCHITECTURES[width].unet).to(dtype)
        vae = build.AutoencoderKL(**ARCHITECTURES[width].vae).to(dtype)
        context = torch.randn(1, 77, width)
        pooled = torch.randn(1, 1280) if kind == "sdxl" else None
    return unet, vae, Conditioning(context, pooled)


def load(kind: str, device: torch.device, dtype: torch.dtype) -> LatentDiffusion:
    """The shipped models, or random ones."""
    if kind == "shipped":
        return shipped(device, dtype)
    return from_diffusers(*random_networks(kind, device, dtype))


def _kept(chain: Chain) -> int:
    """Calls whose activations the chain keeps."""
    return min(chain.gradient.kept, chain.gradient.calls(chain.solver, chain.path.schedule.steps)[1])


class Bench:
    """One photograph's ascent step under a model; everything at the nodes' defaults unless said."""

    def __init__(self, model: LatentDiffusion, photographs: Tensor) -> None:
        self.model, self.photographs = model, photographs.to(model.device)
        self._call: int | None = None
        default = values("default")
        self.objective = Objective(
            load_prior("dmap_quality").requires_grad_(False).to(model.device),
            fidelity(str(default["fidelity"])),
            self.photographs,
            fidelity_weight=float(default["fidelity_weight"]),
        )

    def invert(self, solver: str, steps: int, strength: float) -> LatentPath:
        """The photographs' path."""
        schedule = Schedule.from_table(self.model.table, steps, strength)
        with torch.no_grad():
            return make_solver(solver).invert(self.model.denoise, schedule, self.model.encode(self.photographs))

    def step(self, path: LatentPath, strategy: str, kept: int = 0, level: str = "whole") -> dict[str, object]:
        """Gradient, F, seconds and memory of one step, a little away from the start; the second of two is timed."""
        meter, decoding = Meter(self.model.denoise), Decoding(self.model.decode, self.model.decoder)
        while decoding.name != level:
            decoding.lighter()
        chain = Chain(path, meter, decoding, make_gradient(strategy, kept))
        away = 0.03 * torch.randn(chain.start().shape, generator=torch.Generator().manual_seed(1))
        z = chain.start() + away.to(self.model.device)
        cuda = self.model.device.type == "cuda"
        clock = time.perf_counter if cuda else time.process_time
        for _ in range(2):
            meter.forward = meter.backward = 0
            if cuda:
                torch.cuda.reset_peak_memory_stats()
                torch.cuda.synchronize()
            began = clock()
            leaf = z.clone().requires_grad_(True)
            total = self.objective(chain(leaf)).objective.sum()
            (gradient,) = torch.autograd.grad(total, leaf)
            if cuda:
                torch.cuda.synchronize()
            seconds = clock() - began
        size = torch.cuda.max_memory_allocated() if cuda else self._needs(path, decoding).peak(_kept(chain))
        return {"gradient": gradient, "F": meter.passes, "seconds": seconds, "bytes": size}

    def _needs(self, path: LatentPath, decoding: Decoding) -> Needs:
        """What a CPU, whose allocator keeps no count, holds for the backward pass."""
        if self._call is None:
            sigma = path.schedule.sigmas[0]
            self._call = saved_bytes(lambda u: self.model.denoise(u, sigma), path.latent, weights=self.model.modules)
        return Needs(self._call, saved_bytes(decoding, path.latent, weights=self.model.modules))


def cosine(one: object, other: object) -> float:
    """Of two gradients."""
    assert isinstance(one, Tensor)
    assert isinstance(other, Tensor)
    return float(torch.nn.functional.cosine_similarity(one.float().flatten(), other.float().flatten(), dim=0))


def row(*cells: object) -> str:
    """A line of Markdown."""
    shown = [f"{x:.4f}" if isinstance(x, float) and abs(x) <= 1 else f"{x:.2f}" if isinstance(x, float) else str(x)
             for x in cells]  # fmt: skip
    return f"| {' | '.join(shown)} |"


def head(*names: str) -> Iterator[str]:
    """A table's head."""
    yield row(*names)
    yield "|" + "---|" * len(names)


def strategies(bench: Bench) -> Iterator[str]:
    """Strategies x solvers x steps."""
    yield from head("solver, steps, strength", "gradient", "F a step", "s a step", "kept for backward", "cosine")
    for solver, steps, strength in (
        *((name, 4, 0.2) for name in SOLVERS),
        ("residual_ddim", 2, 0.2),
        ("residual_ddim", 4, 0.4),
        ("residual_ddim", 10, 1.0),
    ):
        path = bench.invert(solver, steps, strength)
        exact = bench.step(path, "checkpoint")
        for name in GRADIENTS:
            found = exact if name == "checkpoint" else bench.step(path, name, ALL)
            near = cosine(found["gradient"], exact["gradient"])
            size = gib(int(str(found["bytes"])))
            yield row(f"{solver}, {steps}, {strength}", name, found["F"], found["seconds"], size, near)


def decoders(bench: Bench) -> Iterator[str]:
    """The decoder's levels."""
    yield from head("decoder's gradient", "s a step", "kept for backward", "cosine", "relative error")
    path = bench.invert("residual_ddim", 4, 0.2)
    exact = bench.step(path, "checkpoint")["gradient"]
    assert isinstance(exact, Tensor)
    for level in LEVELS:
        found = bench.step(path, "checkpoint", level=level)
        gradient = found["gradient"]
        assert isinstance(gradient, Tensor)
        off = float((gradient - exact).norm() / exact.norm())
        yield row(level, found["seconds"], gib(int(str(found["bytes"]))), cosine(gradient, exact), f"{off:.1e}")


def growth(bench: Bench) -> Iterator[str]:
    """Seconds and memory by size, steps and batch."""
    yield from head("batch, side, steps", "s a step", "kept for backward")
    side = bench.photographs.shape[-1]
    for batch, size, steps in ((1, side, 2), (1, side, 4), (1, side, 8), (2, side, 4), (4, side, 4), (1, 2 * side, 4)):
        photographs = bench.photographs[:1].repeat(batch, 1, size // side, size // side)
        other = Bench(bench.model, photographs)
        found = other.step(other.invert("residual_ddim", steps, 0.2), "keep")
        yield row(f"{batch}, {size} px, {steps}", found["seconds"], gib(int(str(found["bytes"]))))


def layout(bench: Bench) -> Iterator[str]:
    """The denoiser's memory layout."""
    yield from head("layout of the denoiser's weights", "s a step")
    path = bench.invert("residual_ddim", 4, 0.2)
    for name in ("contiguous_format", "channels_last"):
        bench.model.modules[0].to(memory_format=getattr(torch, name))  # type: ignore[call-overload]
        yield row(name, bench.step(path, "keep", ALL)["seconds"])


def precision(bench: Bench, kind: str) -> Iterator[str]:
    """The gradient's error by the networks' dtype, against the dtype that was asked for."""
    yield from head("networks", "s a step", "cosine", "relative error of the gradient", "round trip")
    path = bench.invert("residual_ddim", 4, 0.2)
    exact = bench.step(path, "checkpoint")["gradient"]
    assert isinstance(exact, Tensor)
    models = {"fp32": load(kind, bench.model.device, torch.float32)}
    for name in ("bf16", "fp16"):
        models[name] = load(kind, bench.model.device, DTYPES[name])
        models[f"{name}, autoencoder fp32"] = replace(models["fp32"], denoise=models[name].denoise)
    for name, model in models.items():
        other = Bench(model, bench.photographs)
        own = other.invert("residual_ddim", 4, 0.2)
        found = other.step(own, "checkpoint")
        gradient = found["gradient"]
        assert isinstance(gradient, Tensor)
        with torch.no_grad():
            back = make_solver("residual_ddim").sample(other.model.denoise, own)
        trip = float((back - own.latent).norm() / own.latent.norm())
        off = float((gradient - exact).norm() / exact.norm())
        yield row(name, found["seconds"], cosine(gradient, exact), f"{off:.1e}", f"{trip:.1e}")


class _Fused(torch.autograd.Function):
    """Stands for attention as accelerators compute it, which saves no matrix of all pairs; the meta device would."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, result)
        return result


def architectures(_: Bench) -> Iterator[str]:
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


def arithmetic(bench: Bench, peak: float) -> Iterator[str]:
    """Floating-point operations of a step, and the share of the machine's limit that is reached."""
    yield from head("F a step", "TFLOP a step", "TFLOP/s", "share of the limit")
    path = bench.invert("residual_ddim", 4, 0.2)
    found = bench.step(path, "keep", ALL)
    with FlopCounterMode(display=False) as counter:
        bench.step(path, "keep", ALL)
    each = counter.get_total_flops() / 2 / 1e12  # of two steps
    speed = each / float(str(found["seconds"]))
    yield row(found["F"], each, speed, f"{speed / peak:.0%}" if peak else "-")


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, required=True, help="file for the tables, Markdown")
    parser.add_argument("--model", choices=["shipped", *KINDS], default="shipped", help="which networks")
    parser.add_argument("--size", type=int, default=128, help="side of the central square in pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp32")
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="the machine's limit, for its share")
    options = parser.parse_args()
    device = torch.device(options.device)
    _, photographs = inputs(options.photos, 1, options.size)
    bench = Bench(load(options.model, device, DTYPES[options.dtype]), photographs)
    tables: dict[str, Callable[[], Iterator[str]]] = {
        "Gradient strategies": lambda: strategies(bench),
        "The decoder's gradient": lambda: decoders(bench),
        "Growth": lambda: growth(bench),
        "Layout": lambda: layout(bench),
        "Precision of the networks": lambda: precision(bench, options.model),
        "Arithmetic": lambda: arithmetic(bench, options.peak_tflops),
        "Memory of the real architectures, 16 bit": lambda: architectures(bench),
    }
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    text = f"{options.model}, {options.size} px, {options.dtype}, {name}, PyTorch {torch.__version__}\n"
    for title, make in tables.items():
        text += f"\n**{title}**\n\n"
        for line in make():
            text += line + "\n"
            print(line, flush=True)
        options.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
