"""A pretended accelerator: its tensors say that they are on the device "pretend", and are kept in the CPU's memory.

A machine for tests has no second device, and a move from CPU to CPU moves nothing. On this one, what a move leaves
behind is noticed: an operation on tensors of both devices raises, as it does on a GPU. PyTorch allows one such device a
process and never takes it back, so import this module in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
_setup_privateuseone_for_python_backend(NAME)
DEVICE = torch.device(NAME, 0)
# What takes tensors of two devices on a GPU as well.
_COPIES = {"_to_copy", "copy_", "_copy_from"}
_INDICES = {"index", "index_put", "index_put_", "_index_put_impl_"}


class Away(Tensor):
    """A tensor on that device.

    Attributes:
        kept: the same on the CPU.
    """

    kept: Tensor

    @staticmethod
    def __new__(cls, kept: Tensor) -> Away:
        made: Away = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, kept.size(), strides=kept.stride(), storage_offset=kept.storage_offset(), dtype=kept.dtype,
            device=DEVICE,
        )  # fmt: skip
        made.kept = kept
        return made

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(operation, args, kwargs or {})


def _run(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """An operation on what is kept; the result is on the device that it would be on."""
    name, device = operation.name().split("::")[1].split(".")[0], kwargs.get("device")
    if name == "_has_compatible_shallow_copy_type":
        return False
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    if name not in _COPIES | _INDICES and any(not isinstance(tensor, Away) and tensor.ndim for tensor in tensors):
        raise RuntimeError(f"{operation}: tensors on {NAME} and on the CPU")
    here = kwargs if device is None else {**kwargs, "device": "cpu"}
    result = operation(*tree_map(_kept, args), **tree_map(_kept, here))
    if name == "copy_":
        return args[0]
    if device is not None and torch.device(device).type != NAME:
        return result
    return tree_map(lambda value: Away(value) if isinstance(value, Tensor) else value, result)


def _kept(value: Any) -> Any:
    return value.kept if isinstance(value, Away) else value


def _register() -> list[torch.library.Library]:
    """Operations that reach the device without a tensor that is on it: those that make one."""
    every, aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    every.fallback(lambda operation, *args, **kwargs: _run(operation, args, kwargs), dispatch_key="PrivateUse1")
    for operation in (
        torch.ops.aten._to_copy.default,
        torch.ops.aten._copy_from.default,
        torch.ops.aten.empty.memory_format,
        torch.ops.aten.empty_strided.default,
    ):

        def made(*args: Any, operation: Any = operation, **kwargs: Any) -> Any:
            return _run(operation, args, kwargs)

        aten.impl(operation.name().removeprefix("aten::"), made, "PrivateUse1")
    return [every, aten]


_REGISTERED = _register()  # they are taken back when nobody holds them
