"""A stand-in for the virtual buffers of a host that has dynamic VRAM itself, so that its own patchers run on the CPU.

The host's own code pages and casts; what it asks its driver for is counted and taken away here. The device is called
"cpu:0", which is another one to the host than where its files are read.
"""

from __future__ import annotations

import weakref
from typing import Any

import comfy.cli_args
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd1_clip
import comfy_aimdo.host_buffer
import comfy_aimdo.model_vbar
import comfy_aimdo.torch
import torch
from torch import Tensor

from . import pages

DEVICE = torch.device("cpu", 0)
_generation = 0
_memory: dict[Any, Tensor] = {}
_patchers: weakref.WeakSet[Any] = weakref.WeakSet()


class Buffer:
    """A network's virtual buffer; an allocation is (buffer, offset, bytes)."""

    def __init__(self, size: int, device: int) -> None:
        self.offset = 0

    def alloc(self, size: int) -> tuple[Buffer, int, int]:
        self.offset += size
        return self, self.offset - size, size

    def prioritize(self) -> None:
        pass

    def loaded_size(self) -> int:
        return 0

    def free_memory(self, size: float) -> int:
        return 0


class HostBuffer:
    """Pinned memory, of which there is none."""

    size = 0

    def __init__(self, *_: Any) -> None:
        pass


class OnCPU(comfy.model_patcher.ModelPatcherDynamic):  # type: ignore[misc]
    """The host's own dynamic patcher, which it does not use on a CPU. Text encoders stay: no run of ours holds them."""

    def __new__(cls, model: Any, *rest: Any, **more: Any) -> Any:
        if isinstance(model, comfy.sd1_clip.SD1ClipModel):
            return comfy.model_patcher.ModelPatcher(model, *rest, **more)
        return object.__new__(cls)

    def __init__(self, model: Any, load_device: Any, offload_device: Any, *rest: Any, **more: Any) -> None:
        super().__init__(model, DEVICE, offload_device, *rest, **more)

    def load(self, *arguments: Any, **options: Any) -> None:
        _patchers.add(self)
        super().load(*arguments, **options)


def _to_tensor(allocation: Any, device: Any) -> Tensor:
    key = id(allocation[0]), allocation[1]
    if key not in _memory:
        _memory[key] = torch.empty(allocation[2], dtype=torch.uint8)
    return _memory[key]


def evict_pages() -> None:
    """Overwrite all pages; those that are written anew are the host's to know by their signature."""
    global _generation
    pages.evictions["pages"] += bool(_memory)
    _generation += 1
    with torch.inference_mode():
        for page in _memory.values():
            page.fill_(255)
    _memory.clear()


def restore() -> None:
    """Put back what was loaded in place."""
    for patcher in list(_patchers):
        pages.evictions["in place"] += bool(patcher.backup)
        patcher.restore_loaded_backups()


def install() -> None:
    vbar, cast, is_cpu = comfy_aimdo.model_vbar, comfy.ops.cast_bias_weight, comfy.model_management.is_device_cpu
    vbar.ModelVBAR = Buffer
    vbar.vbar_fault = lambda allocation: [_generation]
    vbar.vbar_signature_compare = lambda first, second: first == second
    vbar.vbar_unpin = lambda allocation: None
    comfy_aimdo.torch.aimdo_to_tensor = _to_tensor
    comfy_aimdo.host_buffer.HostBuffer = HostBuffer
    comfy.cli_args.args.disable_pinned_memory = True
    comfy.model_management.is_device_cpu = lambda device: device != DEVICE and is_cpu(device)
    comfy.model_patcher.CoreModelPatcher = OnCPU

    def cast_bias_weight(s: Any, input: Any = None, dtype: Any = None, device: Any = None, **options: Any) -> Any:  # noqa: A002
        return cast(s, input, dtype, DEVICE if hasattr(s, "_v") else device, **options)

    comfy.ops.cast_bias_weight = cast_bias_weight
