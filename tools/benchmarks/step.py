"""One ascent step under a model: its gradient, what it costs in passes, seconds and memory."""

from __future__ import annotations

import ctypes
import gc
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dmap.memory.decoding import Decoding
from dmap.memory.plan import Evaluation, Needs, Usage, measure, measure_decoder
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.gradients import GradientStrategy
from dmap.method.objective import Objective
from dmap.method.path import LatentPath
from dmap.method.solvers import make_solver
from dmap.models.diffusers_adapter import ARCHITECTURES, from_diffusers
from dmap.models.diffusion import LatentDiffusion, shipped
from dmap.models.empty_text import Conditioning
from dmap.priors import load_prior
from dmap.settings import Settings
from tools.benchmarks.meter import Meter


def row(*cells: object) -> str:
    """A line of Markdown."""
    shown = [f"{x:.4f}" if isinstance(x, float) and abs(x) <= 1 else f"{x:.2f}" if isinstance(x, float) else str(x)
             for x in cells]  # fmt: skip
    return f"| {' | '.join(shown)} |"


def head(*names: str) -> Iterator[str]:
    """A table's head."""
    yield row(*names)
    yield "|" + "---|" * len(names)


KINDS = {"sd15": 768, "sd2": 1024, "sdxl": 2048}


def random_networks(kind: str, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any, Conditioning]:
    """U-Net, autoencoder and conditioning of a real architecture; on the meta device they cost nothing."""
    import diffusers

    build: Any = diffusers  # untyped
    build.utils.logging.set_verbosity_error()  # it warns of every change of dtype
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


class _Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, stored: Tensor) -> Tensor:
        return stored.to(self.dtype)


@torch.no_grad()
def store_as(network: nn.Module, dtype: torch.dtype) -> None:
    """Keep all weights in ``dtype`` and cast them back whenever they are used, as hosts do with fp8 ("manual cast")."""
    for module in list(network.modules()):
        for name, weight in list(module.named_parameters(recurse=False)):
            computed = weight.dtype
            weight.data = weight.data.to(dtype)
            nn.utils.parametrize.register_parametrization(module, name, _Cast(computed), unsafe=True)


class PeakMemory:
    """Bytes held at the same time, at most, beyond what was held before: by a GPU's allocator, or by the process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
        else:
            ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system, or it would count as held
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the highest mark
            self._before = self._resident("VmRSS")

    @staticmethod
    def _resident(field: str) -> int:
        found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
        assert found is not None
        return int(found[1]) * 1024

    def bytes(self) -> int:
        """So far."""
        cuda = self._device.type == "cuda"
        return (torch.cuda.max_memory_allocated(self._device) if cuda else self._resident("VmHWM")) - self._before


class Bench:
    """An ascent step of some photographs under a model; everything at the nodes' defaults unless said."""

    def __init__(self, model: LatentDiffusion, photographs: Tensor) -> None:
        self.model, self.photographs = model, photographs.to(model.device)
        self.objective = Objective(
            load_prior("dmap_quality").requires_grad_(False).to(model.device),
            fidelity(Settings.fidelity),
            self.photographs,
            shift=0,
        )

    def clock(self) -> float:
        """Seconds: of this process on a CPU, other work does not count; of the wall on a GPU."""
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def invert(self, solver: str = "residual_ddim", steps: int = 4, strength: float = 0.2) -> LatentPath:
        """The photographs' path; the nodes' defaults."""
        schedule = self.model.schedule(steps, strength)
        with torch.no_grad():
            return make_solver(solver).invert(self.model.denoise, schedule, self.model.encode(self.photographs))

    def decoding(self, level: str = "whole") -> Decoding:
        """The decoder on that level."""
        decoding = self.model.decoding()
        while decoding.name != level:
            decoding.lighter()
        return decoding

    def away(self, start: Tensor) -> Tensor:
        """A point a little away from an ascent's start, where the objective's gradient is not that of its maximum."""
        noise = torch.randn(start.shape, generator=torch.Generator().manual_seed(1)).to(start.device)
        return start + 0.03 * noise

    def step(self, path: LatentPath, strategy: GradientStrategy) -> dict[str, Any]:
        """Gradient (S, B, C, H, W), F, seconds and bytes of one step; the second of two is timed."""
        meter = Meter(self.model.denoise)
        chain = Chain(path, meter, self.decoding(), strategy)
        z = self.away(chain.start())
        for _ in range(2):
            meter.forward = meter.backward = 0
            memory, began = PeakMemory(self.model.device), self.clock()
            leaf = z.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.objective(chain(leaf)).objective.sum(), leaf)
            seconds = self.clock() - began
        return {"gradient": gradient, "F": meter.passes, "seconds": seconds, "bytes": memory.bytes()}

    def forward(self, path: LatentPath) -> float:
        """Seconds of one forward pass of the denoiser; the second of two."""
        with torch.no_grad():
            for _ in range(2):
                began = self.clock()
                self.model.denoise(path.latent, path.schedule.sigmas[0])
                seconds = self.clock() - began
        return seconds

    def decode(self, path: LatentPath, level: str) -> dict[str, Any]:
        """Gradient of the objective with respect to the clean latent, through the decoder alone; seconds and bytes."""
        decoding, memory, began = self.decoding(level), PeakMemory(self.model.device), self.clock()
        leaf = self.away(path.latent).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.objective(decoding(leaf)).objective.sum(), leaf)
        return {"gradient": gradient[None], "seconds": self.clock() - began, "bytes": memory.bytes()}

    def score(self, image: Tensor) -> Tensor:
        """The objective of images, (B,)."""
        return self.objective(image).objective

    def needs(self, path: LatentPath) -> Needs:
        """What ``dmap.memory`` says of a step before it is taken."""
        sigma, steps = path.schedule.sigmas[0], path.schedule.steps

        def call(u: Tensor) -> Tensor:
            return self.model.denoise(u, sigma)

        return Evaluation(call, self.decoding(), self.score, path.latent, self.photographs, steps).needs()

    def decoder_needs(self, path: LatentPath, level: str) -> int:
        """The same of ``decode``, in bytes."""
        decoder = measure_decoder(self.decoding(level), path.latent)
        return Needs(Usage(0, 0), decoder, measure(self.score, self.photographs)).peak(0)


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """Between two gradients (S, B, C, H, W), an image; (B,)."""
    first, second = (x.double().transpose(0, 1).flatten(1) for x in (one, other))
    return nn.functional.cosine_similarity(first, second, dim=1)


def relative_error(one: Tensor, exact: Tensor) -> float:
    """Size of the difference over the size of the exact gradient."""
    return float((one.double() - exact.double()).norm() / exact.double().norm())
