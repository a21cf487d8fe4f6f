"""Safetensors files with a header, written atomically and read with errors that a person understands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import UserError
from .output import replacing


def write(file: str | os.PathLike[str], tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and header; a reader finds the old file or the whole new one, never a part."""
    # Copies: safetensors refuses tensors that share memory.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(file) as new:
        save_file(copies, new, metadata=dict(header))


def read(file: str | os.PathLike[str], what: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a file.

    Args:
        what: it is, for the error: "path file".
        remedy: what to do about a damaged one: "save the path again".

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        with safe_open(os.fspath(file), framework="pt") as reader:
            return {key: reader.get_tensor(key) for key in reader.keys()}, reader.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{what} {Path(file).name}: it cannot be read ({error}); {remedy}") from error
