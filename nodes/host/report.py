"""What a bug report has to say of the host and its models."""

from __future__ import annotations

import platform
from typing import Any

import comfy.model_management
import psutil
import torch

from ...dmap import __version__
from . import features


def host_facts(model: Any, vae: Any) -> dict[str, Any]:
    """Versions, device, precisions and memory management."""
    device = comfy.model_management.get_torch_device()
    kind = getattr(getattr(model.model, "model_type", None), "name", "?")
    return {
        "pack": __version__,
        "comfyui": features.HOST_VERSION,
        "tried": features.HOST_VERSION in features.TRIED,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": comfy.model_management.get_torch_device_name(device),
        "model": f"{type(model.model).__name__} {kind} {_name(model.model_dtype())}",
        "vae": _name(vae.vae_dtype),
        "dynamic_vram": features.is_dynamic(model) or features.is_dynamic(vae.patcher),
    }


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def reset_peak() -> None:
    """Begin to measure the peak of an accelerator's memory; that of the CPU cannot be begun anew."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float:
    """GiB of an accelerator's memory at the most since ``reset_peak``; on the CPU what the process holds now."""
    if comfy.model_management.get_torch_device().type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return float(psutil.Process().memory_info().rss) / 2**30
