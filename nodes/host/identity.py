"""What stands for a MODEL, a VAE or a CONDITIONING: equal for equal content, another one for whatever changes a pixel.

Everything that is reachable is read: weights to the last byte, patches, options, closures of patching functions. What
cannot be read counts as new each time, so that work is at worst done twice and never taken for another's.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import types
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import comfy.hooks
import comfy.model_patcher
import numpy as np
import torch
from torch import Tensor, nn

BOOKKEEPING = {
    "attachments_uuid", "backup", "backup_buffers", "cached_hook_patches", "cached_patcher_init", "clone_base_uuid",
    "current_hooks", "device", "hook_backup", "hook_mode", "hook_patches_backup", "is_injected", "load_device", "model",
    "model_loaded_weight_memory", "non_dynamic_delegate_model", "object_patches_backup", "offload_device",
    "output_device", "parent", "patches_uuid", "pinned", "size", "skip_injection",
}  # fmt: skip
"""Attributes of the host's objects that say where things are and what has been done, not what they are."""
WALKED = {
    comfy.hooks.HookKeyframeGroup: {"keyframes"},
    comfy.hooks.HookKeyframe: {"strength", "start_percent", "guarantee_steps"},
}
"""Of objects that remember how far along a schedule they are: what they are made of."""
CLEANED = {"cond_hint", "extra_concat", "model_sampling_current", "timestep_range"}
"""Attributes of ControlNets that are made anew in each run."""


def identity(*values: Any) -> str:
    """20 hexadecimal digits that stand for nested values and objects."""
    digest, seen = hashlib.sha256(), _Reader()
    for value in values:
        digest.update(seen.read(value))
    return digest.hexdigest()[:20]


class _Reader:
    """Reads values to digests; objects that come again, also inside themselves, by the number of their first coming."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no other object gets the place of one that is gone

    def read(self, value: Any) -> bytes:
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return _joined(type(value).__name__, repr(value))
        if isinstance(value, torch.dtype | torch.device | torch.Size | enum.Enum | np.generic | slice | range):
            return _joined(type(value).__name__, repr(value))
        if isinstance(value, type | types.ModuleType | types.BuiltinFunctionType):
            return _joined("name", getattr(value, "__module__", ""), getattr(value, "__qualname__", value.__name__))
        if id(value) in self._seen:
            return _joined("again", str(self._seen[id(value)]))
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        return _joined(f"{type(value).__module__}.{type(value).__qualname__}", *self._parts(value))

    def _parts(self, value: Any) -> Iterable[bytes | str]:
        if isinstance(value, Tensor):
            return [_bytes_of(value)]
        if isinstance(value, np.ndarray):
            return [str(value.dtype), str(value.shape), np.ascontiguousarray(value).tobytes()]
        if isinstance(value, Mapping):
            # In the order that it has: objects as keys have none of their own.
            return [part for key, item in value.items() for part in (self.read(key), self.read(item))]
        if isinstance(value, list | tuple):
            return [self.read(item) for item in value]
        if isinstance(value, set | frozenset):
            return sorted(self.read(item) for item in value)
        if isinstance(value, functools.partial):
            return [self.read(item) for item in (value.func, value.args, value.keywords)]
        if isinstance(value, types.MethodType):
            return [value.__func__.__qualname__, self.read(value.__func__), self.read(value.__self__)]
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, comfy.model_patcher.ModelPatcher):
            return self._patcher(value)
        if isinstance(value, nn.Module):
            return self._module(value, {}, ())
        return self._object(value)

    def _function(self, function: types.FunctionType) -> Iterable[bytes | str]:
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(self.read(cell.cell_contents))
            except ValueError:  # it is not set yet
                cells.append(b"")
        code = function.__code__
        constants = [part for part in code.co_consts if not isinstance(part, types.CodeType)]
        return [
            function.__module__ or "", function.__qualname__, code.co_code, repr(constants),
            self.read(function.__defaults__), self.read(function.__kwdefaults__), *cells,
        ]  # fmt: skip

    def _patcher(self, patcher: Any) -> Iterable[bytes | str]:
        """A model with its patches, whether or not they are in its weights at present."""
        original = {name: saved.weight for name, saved in patcher.backup.items()}
        model = patcher.model
        facts = [self.read(getattr(model, name, None)) for name in ("model_type", "latent_format")]
        config = getattr(model, "model_config", None)
        facts.append(self.read(getattr(config, "unet_config", None)))
        return [*facts, *self._module(model, original, tuple(patcher.object_patches)), *self._object(patcher)]

    def _module(self, module: nn.Module, original: dict[str, Tensor], without: tuple[str, ...]) -> Iterable[bytes]:
        for name, one in module.named_modules():
            yield _joined(name, type(one).__qualname__)
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if not name.startswith(without):
                yield _joined(name, _bytes_of(original.get(name, tensor)))

    def _object(self, value: Any) -> Iterable[bytes | str]:
        names = WALKED.get(type(value))
        found = dict(getattr(value, "__dict__", {}))
        for kind in type(value).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            found |= {name: getattr(value, name) for name in slots if hasattr(value, name)}
        if not found and type(value).__module__ in ("builtins", "torch", "_thread"):
            return [uuid.uuid4().bytes]  # nothing can be read of it
        left_out = BOOKKEEPING | (CLEANED if hasattr(value, "cond_hint_original") else set())
        return [
            part
            for name in sorted(found)
            if (name in names if names is not None else name not in left_out)
            for part in (name, self.read(found[name]))
        ]


def _bytes_of(tensor: Tensor) -> bytes:
    if hasattr(tensor, "__tensor_flatten__"):  # a quantised weight: several tensors under one name
        names, _ = tensor.__tensor_flatten__()
        return _joined(*(_bytes_of(getattr(tensor, name)) for name in names))
    head = f"{tensor.dtype} {tuple(tensor.shape)}"
    if tensor.is_meta:
        return head.encode()
    plain = tensor.detach().cpu().contiguous().flatten()
    return _joined(head, plain.view(torch.uint8).numpy().data if plain.numel() else b"")


def _joined(*parts: Any) -> bytes:
    """A digest of parts whose borders count."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "backslashreplace") if isinstance(part, str) else part
        digest.update(f"{len(content)}:".encode())
        digest.update(content)
    return digest.digest()
