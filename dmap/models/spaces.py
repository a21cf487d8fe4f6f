"""Where an ascent moves: the diffusion latent, the autoencoder's latent, or pixels."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..settings import Settings
from .diffusion import LatentDiffusion

SPACES = ("diffusion", "latent", "pixels")


def settings_in(space: str, settings: Settings) -> Settings:
    """The settings for an ascent in one of ``SPACES``: in the last two the path is a point, which one step reaches."""
    return settings if space == "diffusion" else replace(settings, solver=Settings.solver, steps=1, strength=1.0)


def moving_in(space: str, model: LatentDiffusion) -> LatentDiffusion:
    """The model for an ascent in one of ``SPACES``, whose settings ``settings_in`` gives."""
    if space == "diffusion":
        return model
    point = replace(model, denoise=lambda u, _: u, table=torch.tensor([1e-3], dtype=torch.float64))
    if space == "latent":
        return point
    return replace(point, encode=lambda x: x, decode=lambda x: x, multiple=1, decoder=torch.nn.Identity())
