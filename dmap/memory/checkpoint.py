"""Activation checkpointing that survives networks which write in place.

``torch.utils.checkpoint`` and plain autograd watch version counters, which buffers shared behind autograd's back (a
host's cast buffer, a control signal added in place) escape: gradients are then wrong without a word. PyTorch's
``allow_mutation_on_saved_tensors`` recognises tensors by ``id`` and address and can confuse them once both are reused:
with a U-Net patched in place its gradients differed from run to run. ``CopyOnWrite`` goes by storage, which stays alive
as long as something of it is saved.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class _Saved:
    """A tensor saved for the backward pass; a view of the original until that is about to be overwritten."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _whereabouts(tensor: Tensor) -> int:
    """Where a tensor's data lies: by address, since two storages may share memory; without data by the storage."""
    storage = tensor.untyped_storage()
    return storage.data_ptr() or storage._cdata


class CopyOnWrite(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what autograd saves under ``saving`` whatever is later written in place, there or under ``watching``."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.saved: dict[int, list[weakref.ref[_Saved]]] = {}

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Protect what is saved in here, and see what is written."""
        with torch.autograd.graph.saved_tensors_hooks(self.pack, lambda entry: entry.tensor), self:
            yield

    def watching(self) -> contextlib.AbstractContextManager[Any]:
        """See what is written in here, if anything has been saved before."""
        return self if self.saved else contextlib.nullcontext()

    def pack(self, tensor: Tensor) -> _Saved:
        # Detached: an operation that saves its own result would hold itself, and what a failed evaluation saved would
        # never be freed.
        entry = _Saved(tensor.detach())
        self.saved.setdefault(_whereabouts(tensor), []).append(weakref.ref(entry))
        return entry

    def _about_to_write(self, tensor: Tensor) -> None:
        for reference in self.saved.pop(_whereabouts(tensor), ()):
            entry = reference()
            if entry is not None:
                entry.tensor = entry.tensor.clone()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for index, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = args[index] if index < len(args) else kwargs.get(argument.name)
                for tensor in value if isinstance(value, list | tuple) else (value,):
                    if isinstance(tensor, Tensor):
                        self._about_to_write(tensor)
        return func(*args, **kwargs)


class _Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.function = function
        ctx.save_for_backward(*inputs)
        with torch.no_grad():
            # Clones: a function may write into its inputs, which are kept, and it may hand one of them back, a view of
            # which as the output would confuse autograd.
            return tuple(x.clone() for x in function(*(x.detach().clone() for x in inputs)))

    @staticmethod
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        with torch.inference_mode(False), torch.enable_grad(), CopyOnWrite().saving():
            needed = zip(saved, ctx.needs_input_grad[1:], strict=True)
            inputs = [x.detach().requires_grad_(wanted) for x, wanted in needed]
            wanted = [x for x in inputs if x.requires_grad]
            pairs = zip(ctx.function(*(x.clone() for x in inputs)), output_gradients, strict=True)
            reached = [(output, gradient) for output, gradient in pairs if output.requires_grad]
            if not reached:
                return (None, *(None for _ in inputs))
            outputs, gradients = zip(*reached, strict=True)
            found = iter(torch.autograd.grad(outputs, wanted, gradients, allow_unused=True))
        return (None, *(next(found) if x.requires_grad else None for x in inputs))


def checkpoint(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """``function(*inputs)`` that keeps only its inputs for the backward pass and computes itself again there.

    Args:
        function: returns one tensor; must be deterministic. Gradients reach ``inputs`` only, not tensors that the
            function closes over.
        inputs: tensors; without any that requires a gradient the function is simply called.
    """
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        result: Tensor
        (result,) = _Checkpoint.apply(lambda *x: (function(*x),), *inputs)  # type: ignore[no-untyped-call]
        return result
    return function(*inputs)


def checkpoint_tree(function: Callable[..., Any], arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """``function(*arguments, **options)`` like ``checkpoint``, for nested tuples, lists and dictionaries of anything.

    Gradients reach every tensor in there that requires one. Everything is handed to the function as it is now, when it
    is called again too: dictionaries, lists and tensors may have changed by then, by the function itself even.

    Args:
        function: must be deterministic; returns tensors, or tuples or lists of tensors and other things.
        arguments, options: of the function.
    """
    leaves: list[Tensor] = []
    given = _taken((tuple(arguments), options), leaves)
    if not (torch.is_grad_enabled() and any(x.requires_grad for x in leaves)):
        return function(*arguments, **options)
    form: list[Any] = []

    def flat(*inputs: Tensor) -> tuple[Tensor, ...]:
        inner_arguments, inner_options = _put_back(given, inputs)
        results: list[Tensor] = []
        made = _taken(function(*inner_arguments, **inner_options), results)
        form[:] = [made]
        return tuple(results)

    outputs = _Checkpoint.apply(flat, *leaves)  # type: ignore[no-untyped-call]
    return _put_back(form[0], outputs)


class _Place:
    """Where a tensor was taken out of a structure."""

    def __init__(self, index: int) -> None:
        self.index = index


def _taken(value: Any, leaves: list[Tensor]) -> Any:
    """A copy of a structure without its tensors, which go into ``leaves``."""
    if isinstance(value, Tensor):
        leaves.append(value)
        return _Place(len(leaves) - 1)
    if type(value) is dict:
        return {key: _taken(item, leaves) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_taken(item, leaves) for item in value)
    return value


def _put_back(value: Any, leaves: Sequence[Tensor]) -> Any:
    if isinstance(value, _Place):
        return leaves[value.index]
    if type(value) is dict:
        return {key: _put_back(item, leaves) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_put_back(item, leaves) for item in value)
    return value
