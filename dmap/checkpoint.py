"""Activation checkpointing that survives networks which write in place.

``torch.utils.checkpoint`` recomputes under autograd's version counters; a network that reuses a buffer (a shared
cast buffer, a control signal added in place) then gives wrong gradients without a word. Here the recomputation runs
under ``allow_mutation_on_saved_tensors``, which copies a saved tensor before it is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class _Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(*inputs)
        with torch.no_grad():
            # A function may hand its own input back; a view of it as the output would confuse autograd.
            return function(*(x.detach() for x in inputs)).clone()

    @staticmethod
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autograd.graph.allow_mutation_on_saved_tensors(),
        ):
            inputs = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in saved]
            wanted = [x for x in inputs if x.requires_grad]
            output = ctx.function(*inputs)
            gradients = iter(torch.autograd.grad(output, wanted, output_gradients[0], allow_unused=True))
        return (None, *(next(gradients) if x.requires_grad else None for x in inputs))


def checkpoint(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """``function(*inputs)`` that keeps only its inputs for the backward pass and computes itself again there.

    Args:
        function: returns one tensor; must be deterministic. Gradients reach ``inputs`` only, not tensors that the
            function closes over.
        inputs: tensors; without any that requires a gradient the function is simply called.
    """
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        result: Tensor = _Checkpoint.apply(function, *inputs)  # type: ignore[no-untyped-call]
        return result
    return function(*inputs)
