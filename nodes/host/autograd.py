"""Making the host's modules differentiable for a while.

Nodes run under ``torch.inference_mode``: weights that the host loaded or moved there are inference tensors, which
autograd refuses to save. They are replaced by zero-copy aliases that are ordinary tensors, and put back afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.utils.dlpack
from torch import Tensor, nn


@contextlib.contextmanager
def differentiable(*modules: nn.Module) -> Iterator[None]:
    """Replace parameters and buffers that block autograd by frozen aliases of the same memory.

    Enter after all modules are on their device: an alias made before a move would keep the old memory. On leaving,
    only what is still our alias is put back, so a move by the host in between is not undone.
    """
    replaced: list[tuple[dict[str, Any], str, Tensor, Tensor]] = []
    try:
        for root in modules:
            for module in root.modules():
                tables: tuple[tuple[dict[str, Any], bool], ...] = ((module._parameters, True), (module._buffers, False))
                for table, is_parameter in tables:
                    for key, tensor in list(table.items()):
                        if tensor is None or not (tensor.is_inference() or tensor.requires_grad):
                            continue
                        alias = torch.utils.dlpack.from_dlpack(tensor.detach())
                        if is_parameter:
                            alias = nn.Parameter(alias, requires_grad=False)
                        replaced.append((table, key, tensor, alias))
                        table[key] = alias
        yield
    finally:
        for table, key, tensor, alias in replaced:
            if table.get(key) is alias:
                table[key] = tensor


def plain(value: Any) -> Any:
    """A copy of a nested structure in which inference tensors are ordinary tensors (only ``clone`` makes them so)."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value
