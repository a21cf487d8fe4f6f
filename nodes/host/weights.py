"""Holding the host's networks still for a run: weights that autograd can save, and that stay where they are.

Two habits of the host stand in the way of a gradient. Nodes run under ``torch.inference_mode``: weights that were
loaded or moved there are inference tensors, which autograd refuses to save. And with dynamic VRAM weights live in pages
that the host may reuse between two calls, while autograd still points at them. So for the time of a run every weight is
an ordinary tensor: an alias of the same memory where the host keeps it in place, a copy on the device where it pages.
What the host moves or takes away meanwhile is put back before the next call, and its state is given back at the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.utils.dlpack
from torch import Tensor, nn

from ...dmap.memory.plan import gib, is_out_of_memory
from . import features

_MISSING = object()
PAGED = ("_v", "_v_block", "_prefetch")
"""Attributes by which a module of the host finds its pages; without them it uses its parameters."""
CASTING = ("comfy_cast_weights", "weight_function", "bias_function", "comfy_patched_weights")
"""Attributes that the host changes when it moves a module's weights away."""

TOO_LARGE = (
    "the weights of {} ({}) do not fit on {}, where a gradient needs them whole; use a smaller or quantised model, or "
    "free memory"
)


class _Slot:
    """An entry of a module's table of parameters, buffers or attributes that is held at a value.

    Args:
        table, key: the entry.
        ours: what it is held at; ``_MISSING`` = it is held absent.
    """

    def __init__(self, table: dict[str, Any], key: str, ours: Any) -> None:
        self.table, self.key, self.ours = table, key, ours
        self.theirs = table.get(key, _MISSING)
        # The memory itself: the host moves a parameter by giving it other memory.
        whole = isinstance(ours, Tensor) and not hasattr(ours, "__tensor_flatten__")
        self.memory = ours.detach() if whole else None
        self._put(ours)

    def _put(self, value: Any) -> None:
        if value is _MISSING:
            self.table.pop(self.key, None)
        else:
            self.table[self.key] = value

    def hold(self) -> None:
        """Put our value back if the host has put another one there, and keep the host's for later."""
        found = self.table.get(self.key, _MISSING)
        if found is not self.ours:
            self.theirs = found
            self._put(self.ours)
        if self.memory is not None and self.ours.data_ptr() != self.memory.data_ptr():
            if isinstance(self.theirs, Tensor):
                self.theirs = _like(self.theirs, self.ours.detach())
            self.ours.data = self.memory

    def release(self) -> None:
        """Give the host its value back; what it has put there meanwhile stays."""
        if self.table.get(self.key, _MISSING) is self.ours:
            self._put(self.theirs)


class HeldWeights:
    """The weights of a run's networks; see ``held``."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []
        self._hooks: list[Any] = []

    def take(self, patcher: Any, watched: bool) -> None:
        """Hold the weights of a patcher's network.

        Args:
            patcher: loaded on its device.
            watched: whether the network sees to it by itself before each of its forward passes.

        Raises:
            MemoryError: if the weights do not fit on the device.
        """
        try:
            self._take(patcher)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            size = gib(patcher.model_size())
            raise MemoryError(TOO_LARGE.format(type(patcher.model).__name__, size, patcher.load_device)) from error
        if watched:
            self._hooks.append(patcher.model.register_forward_pre_hook(lambda *_: self.hold()))

    def _take(self, patcher: Any) -> None:
        dynamic = features.is_dynamic(patcher)
        for name, module in patcher.model.named_modules():
            for table, is_parameter in ((module._parameters, True), (module._buffers, False)):
                for key, tensor in list(table.items()):
                    if tensor is None:
                        continue
                    if dynamic:
                        ours = _resident(patcher, f"{name}.{key}" if name else key, module, key, tensor)
                    else:
                        ours = tensor if _ordinary(tensor) else _alias(tensor.detach())
                    if is_parameter and not isinstance(ours, nn.Parameter):
                        ours = _like(tensor, ours)
                    self._slots.append(_Slot(table, key, ours))
            for key in PAGED if dynamic else ():
                self._slots.append(_Slot(module.__dict__, key, _MISSING))
            for key in CASTING:
                if key in module.__dict__:
                    self._slots.append(_Slot(module.__dict__, key, module.__dict__[key]))

    def hold(self) -> None:
        """Put everything back that the host has moved since."""
        for slot in self._slots:
            slot.hold()

    def release(self) -> None:
        """Give everything back."""
        for hook in self._hooks:
            hook.remove()
        for slot in reversed(self._slots):
            slot.release()


@contextlib.contextmanager
def held(
    networks: Sequence[Any], changing: Sequence[Any] = (), watched: Sequence[Any] = ()
) -> Iterator[Callable[[], None]]:
    """Hold networks still; enter after all of them are loaded. Yields what must be called before each of their calls.

    Args:
        networks: patchers of networks that stay as they are.
        changing: of those whose weights the host itself changes along the schedule; they are made differentiable, and
            not held.
        watched: which of ``networks`` see to it by themselves before each of their forward passes.
    """
    kept, free = HeldWeights(), HeldWeights()
    try:
        for patcher in changing:
            free.take(patcher, watched=False)
        for patcher in networks:
            kept.take(patcher, watched=any(patcher is other for other in watched))
        yield kept.hold
    finally:
        kept.release()
        free.release()


def _resident(patcher: Any, name: str, module: nn.Module, key: str, tensor: Tensor) -> Tensor:
    """A paged weight as the host's network sees it, LoRAs included, in memory of its own on the device."""
    if tensor.is_meta:  # the checkpoint lacks it: the host makes zeros of it at the first call
        tensor = torch.zeros(tensor.shape, dtype=tensor.dtype)
    elif name not in patcher.backup:  # else the host has loaded it already, patched
        tensor = features.patched_weight(patcher, name)
    dtype = getattr(module, f"{key}_comfy_model_dtype", None) or tensor.dtype
    tensor = tensor.detach()
    if not hasattr(tensor, "__tensor_flatten__"):
        tensor = tensor.to(dtype)
    moved = tensor.to(patcher.load_device)
    return _alias(tensor.clone() if moved is tensor else moved)


def _alias(tensor: Tensor) -> Tensor:
    """An ordinary tensor of the same memory."""
    if hasattr(tensor, "__tensor_flatten__"):  # a quantised weight: several tensors under one name
        names, context = tensor.__tensor_flatten__()
        parts = {name: _alias(getattr(tensor, name)) for name in names}
        kind: Any = type(tensor)
        whole: Tensor = kind.__tensor_unflatten__(parts, context, tensor.size(), tensor.stride())
        return whole
    return tensor if _ordinary(tensor) else torch.utils.dlpack.from_dlpack(tensor)


def _ordinary(tensor: Tensor) -> bool:
    """Whether autograd can save a tensor. One that was given an inference tensor's memory is half of each kind."""
    try:
        return not tensor.requires_grad and not tensor.is_inference() and tensor._version >= 0
    except RuntimeError:  # it has no version
        return False


def _like(model: Tensor, values: Tensor) -> Tensor:
    """``values`` as a parameter if ``model`` is one, with the host's own notes on it."""
    if not isinstance(model, nn.Parameter):
        return values
    made = nn.Parameter(values, requires_grad=False)
    made.__dict__.update(model.__dict__)
    return made


def plain(value: Any) -> Any:
    """A copy of a nested structure in which inference tensors are ordinary tensors (only ``clone`` makes them so)."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value
