"""2026: dynamic VRAM. Weights live in pages, which the host takes for something else whenever it likes.

A stand-in for the host's virtual buffers: a page is an inference tensor, made in the host's own runs and there again in
the next; while anything but inference runs, all pages are overwritten before every operation, and what was loaded in
place goes back to what it was before every look for an interrupt.
"""

from __future__ import annotations

import sys
import weakref
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import comfy.controlnet
import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import torch
from torch import Tensor, nn

SMALL = 1024
"""Bytes up to which a weight is loaded in place."""

Kept = namedtuple("Kept", ["weight", "inplace_update"])
evictions = {"pages": 0, "in place": 0}
_pages: list[Tensor] = []
_patchers: weakref.WeakSet[Any] = weakref.WeakSet()


class PagedPatcher(comfy.model_patcher.ModelPatcher):  # type: ignore[misc]
    """A patcher whose network finds its weights in pages."""

    def is_dynamic(self) -> bool:
        return True

    def get_non_dynamic_delegate(self) -> Any:
        raise RuntimeError("Cannot create non-dynamic delegate: there is no file to load it from")

    def patch_weight_to_device(
        self, key: str, device_to: Any = None, inplace_update: bool = False, return_weight: bool = False
    ) -> Tensor:
        assert return_weight, "a dynamic patcher patches when it pages"
        weight: Tensor = comfy.utils.get_attr(self.model, key)
        if key not in self.patches:
            return weight
        patched = comfy.lora.calculate_weight(self.patches[key], weight.to(device_to, torch.float32, copy=True), key)
        return patched.to(weight.dtype)

    def partially_load(self, device_to: Any, extra_memory: float = 0, force_patch_weights: bool = False) -> None:
        self.restore()
        self.patch_model(load_weights=False)
        _patchers.add(self)
        for name, module in self.model.named_modules():
            parameters = dict(module.named_parameters(recurse=False))
            if hasattr(module, "comfy_cast_weights") and sum(p.nbytes for p in parameters.values()) > SMALL:
                module.comfy_cast_weights, module._v = True, (weakref.ref(self), name)
                continue
            for key, parameter in parameters.items():
                whole = f"{name}.{key}" if name else key
                self.backup[whole] = Kept(parameter, False)
                loaded = self.patch_weight_to_device(whole, device_to, return_weight=True)
                dtype = getattr(module, f"{key}_comfy_model_dtype", loaded.dtype)
                comfy.utils.set_attr_param(self.model, whole, loaded.to(dtype, copy=True))
        self.model.current_weight_patches_uuid = self.patches_uuid

    def restore(self) -> None:
        """Put back what was loaded in place."""
        evictions["in place"] += bool(self.backup)
        for key in list(self.backup):
            comfy.utils.set_attr_param(self.model, key, self.backup.pop(key).weight)

    def partially_unload(self, *_: Any, **__: Any) -> int:
        self.restore()
        return 0

    def unpatch_model(self, device_to: Any = None, unpatch_weights: bool = True) -> None:
        super().unpatch_model(None, unpatch_weights=False)
        if unpatch_weights:
            self.restore()


def _page(module: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a module in their page, faulted in if they are not there."""
    if getattr(module, "_v_weight", None) is None or module._v_weight[0].isnan().any():
        patcher, name = module._v
        found = []
        for key in ("weight", "bias"):
            value = getattr(module, key, None)
            if value is not None:
                dtype = getattr(module, f"{key}_comfy_model_dtype", value.dtype)
                value = patcher().patch_weight_to_device(f"{name}.{key}", return_weight=True).to(dtype)
                with torch.inference_mode():
                    value = value.clone()
                _pages.append(value)
            found.append(value)
        module._v_weight = tuple(found)
    return module._v_weight


def _evict_pages() -> None:
    evictions["pages"] += bool(_pages)
    with torch.inference_mode():
        for page in _pages:
            page.fill_(torch.nan)
    _pages.clear()


def _restore() -> None:
    for patcher in list(_patchers):
        patcher.restore()


def install() -> None:
    if hasattr(comfy.model_patcher, "ModelPatcherDynamic"):
        from . import buffers

        buffers.install()
        _take_away(buffers.evict_pages, buffers.restore)
        return
    comfy.model_patcher.CoreModelPatcher = PagedPatcher
    cast, control = comfy.ops.cast_bias_weight, comfy.controlnet.ControlNet.__init__

    def cast_bias_weight(s: Any, input: Any = None, dtype: Any = None, device: Any = None, **options: Any) -> Any:  # noqa: A002
        if not hasattr(s, "_v"):
            return cast(s, input, dtype, device, **options)
        wanted = dtype or input.dtype
        weight, bias = (None if x is None else x.to(wanted) for x in _page(s))
        return (weight, bias, None) if options.get("offloadable") else (weight, bias)

    def controlled(self: Any, *arguments: Any, **options: Any) -> None:
        control(self, *arguments, **options)
        if isinstance(getattr(self, "control_model", None), nn.Module):
            plain = self.control_model_wrapped
            self.control_model_wrapped = PagedPatcher(self.control_model, plain.load_device, plain.offload_device)

    comfy.ops.cast_bias_weight = cast_bias_weight
    comfy.controlnet.ControlNet.__init__ = controlled
    _take_away(_evict_pages, _restore)


def _take_away(evict: Callable[[], None], restore: Callable[[], None]) -> None:
    """Have all weights taken away at every look for an interrupt while anything but inference runs."""
    look = comfy.model_management.throw_exception_if_processing_interrupted

    def looked() -> None:
        look()
        if torch.is_inference_mode_enabled():
            return
        evict()
        if sys._getframe(1).f_globals["__name__"] != "comfy.ops":  # not in the midst of a network's call
            restore()

    comfy.model_management.throw_exception_if_processing_interrupted = looked
