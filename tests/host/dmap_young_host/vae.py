"""VAEs: since 0.18 ``process_output`` works in place; since 2026 the crop drops channels, and weights are paged."""

from __future__ import annotations

from typing import Any

import comfy.model_patcher
import comfy.sd
import torch
from torch import Tensor


def _in_place(image: Tensor) -> Tensor:
    return image.add_(1.0).div_(2.0).clamp_(0.0, 1.0)


def install() -> None:
    original, crop = comfy.sd.VAE.__init__, comfy.sd.VAE.vae_encode_crop_pixels

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        if self.first_stage_model is None:
            return
        probe = torch.tensor([-0.5, 0.0, 0.5])
        if torch.equal(self.process_output(probe.clone()), (probe + 1) / 2):
            self.process_output = _in_place
        if not getattr(self.patcher, "is_dynamic", bool)():
            paged = comfy.model_patcher.CoreModelPatcher
            self.patcher = paged(self.first_stage_model, self.patcher.load_device, self.patcher.offload_device)

    def cropped(self: Any, pixels: Tensor) -> Tensor:
        return crop(self, pixels)[..., : self.output_channels]

    comfy.sd.VAE.__init__, comfy.sd.VAE.vae_encode_crop_pixels = init, cropped
