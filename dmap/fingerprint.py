"""What stands for content: equal for equal content, and for nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .priors import Prior


def digest(content: Any) -> str:
    """20 hexadecimal digits that stand for JSON content."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def checksum(tensors: Iterable[Tensor]) -> str:
    """SHA-256 over tensors' bytes, shapes and dtypes."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def of_file(file: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes."""
    found = hashlib.sha256()
    with open(file, "rb") as content:
        while part := content.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def of_weights(modules: Iterable[nn.Module]) -> str:
    """Stands for networks' weights, whatever their names."""
    return checksum(value for module in modules for value in module.state_dict().values())


def of_prior(prior: Prior) -> str:
    """Stands for a prior's weights, maps and parts: another training under the same name counts as another prior."""
    plain = (str, int, float, tuple, list)
    facts = [
        [type(module).__name__, module.info.name, repr(module.score_map)]
        + [
            f"{name}={value!r}"
            for name, value in sorted(vars(module).items())
            # Neither torch's own fields nor the mode say anything about the weights.
            if isinstance(value, plain) and name != "training" and not name.startswith("_")
        ]
        for module in prior.modules()
        if isinstance(module, Prior)
    ]
    return digest([facts, list(prior.state_dict()), checksum(prior.state_dict().values())])
