"""Which diffusion model is wanted, in words that another process understands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from .diffusers_adapter import from_diffusers, load_single_file
from .diffusers_flows import load_folder
from .diffusion import LatentDiffusion, shipped

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class ModelChoice:
    """A diffusion model that is not loaded yet.

    Attributes:
        checkpoint: one safetensors file of Stable Diffusion 1.x, 2.x or XL, or a folder in diffusers' form of Stable
            Diffusion 3.x, Flux.1 or Z-Image; None = the shipped models.
        prediction: what the checkpoint predicts, "eps" or "v".
        dtype: of the networks, one of ``DTYPES``.
    """

    checkpoint: str | None = None
    prediction: str = "eps"
    dtype: str = "fp32"

    def load(self, device: torch.device | str) -> LatentDiffusion:
        """Load it. Raises UserError if a file is missing or damaged."""
        dtype = DTYPES[self.dtype]
        if self.checkpoint is None:
            return shipped(device, dtype)
        if Path(self.checkpoint).is_dir():
            return load_folder(Path(self.checkpoint), device, dtype)
        unet, vae, conditioning = load_single_file(self.checkpoint, dtype=dtype)
        return from_diffusers(unet.to(device), vae.to(device), conditioning, self.prediction)


SHIPPED = ModelChoice()
"""The models that come with the pack."""
