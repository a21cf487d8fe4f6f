"""The same questions to the host's models and to diffusers': what do they predict, invert and differentiate to?"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch
from torch import Tensor


def probe(
    package: str,
    denoise: Callable[[Tensor, Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    table: Tensor,
    latent: Tensor,
    flow: bool = False,
) -> dict[str, Tensor]:
    """Denoised predictions at three levels, the inverted latents of both solvers, decoded image and gradient.

    ``package`` is where dmap is: "dmap", or inside the module name that the host gave the pack.
    """
    chain, schedules, solvers = (
        importlib.import_module(f"{package}.method.{name}") for name in ("chain", "schedule", "solvers")
    )
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(5))
    found = {}
    with torch.no_grad():
        for position in (100, 500, 900):
            sigma = table[position]
            signal = 1 - float(sigma) if flow else 1.0
            found[f"denoised at {position}"] = denoise(signal * latent + float(sigma) * noise, sigma)
        schedule = schedules.Schedule.from_table(table, 2, 0.4, flow=flow)
        paths = {
            name: solvers.make_solver(name).invert(denoise, schedule, latent) for name in ("residual_ddim", "edict")
        }
    found |= {f"{name} inverted": path.state for name, path in paths.items()}
    link = chain.Chain(paths["residual_ddim"], denoise, decode)
    z = link.start().requires_grad_(True)
    with torch.enable_grad():
        image = link(z)
        weights = torch.randn(image.shape, generator=torch.Generator().manual_seed(6))
        (gradient,) = torch.autograd.grad((image * weights).sum(), z)
    return {**found, "image": image.detach(), "gradient": gradient, "latent": latent}
