"""Foreign weight files, read without running anything that is in them, and converted to safetensors."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from .. import jsonfile, tensorfile
from ..errors import UserError
from .download import digest_of

FORMAT, VERSION = "dmap-weights", "1"
EXPANSION, SPARE = 4, 2**24
"""Bytes that tensors may take for each of their file's, since they may share memory, and in any case."""
_LOAD = torch.load  # the real one, also while ``containment`` has another in its place


def read_checkpoint(file: Path) -> Any:
    """What a .pth or .pt file, or a conversion of one, holds: tensors in dictionaries and lists.

    Raises:
        UserError: if it is damaged or holds other Python objects, which are never unpickled.
    """
    content = _read_converted(file) if file.suffix == ".safetensors" else _read_foreign(file)
    _check(content, file)
    return content


def _check(content: Any, file: Path) -> None:
    """Raise UserError for tensors that are no weights: much larger than their file, or with values that are no numbers.

    A few bytes can stand for a tensor of any size (``expand``), which would be made in memory as soon as it is used.
    """
    tensors = dict(_tensors(content, ""))
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    most = EXPANSION * file.stat().st_size + SPARE
    if size > most:
        raise UserError(
            f"weights file {file.name}: its tensors would take {size >> 20} MiB, the file has {file.stat().st_size} "
            "bytes; it is damaged or made to fill the memory"
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not _are_numbers(tensor, infinite="mask" in name.rpartition("/")[2]):
            raise UserError(
                f"weights file {file.name}: {name} holds values that are no finite numbers; its training failed, or it "
                "is damaged: fetch it again from its source"
            )


def _tensors(value: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for number, (key, item) in enumerate(items):
            yield from _tensors(item, f"{path}/{number}:{key}" if isinstance(value, dict) else f"{path}/{key}")


def _are_numbers(tensor: Tensor, infinite: bool) -> bool:
    """Whether all values are finite; of a mask for attention -inf is."""
    values = tensor.detach()
    values = values.float() if values.element_size() == 1 else values
    return not bool(torch.isnan(values).any()) and (infinite or bool(torch.isfinite(values).all()))


def _read_foreign(file: Path) -> Any:
    try:
        return _LOAD(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()[0]
        raise UserError(
            f"weights file {file.name}: it is damaged, or a pickle of more than tensors, which is never run "
            f"({reason}); fetch it again from its source"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "TorchScript" in reason:
            raise UserError(
                f"weights file {file.name}: it is a TorchScript program, which is not run to look for weights in it"
            ) from error
        raise UserError(
            f"weights file {file.name}: it is damaged or cut off ({reason}); fetch it again from its source"
        ) from error


def convert(source: Path, target: Path) -> int:
    """Write a foreign weight file as safetensors with the same structure; returns the number of tensors.

    Raises:
        UserError: as ``read_checkpoint``, if it holds more than tensors, numbers and texts, or if the target cannot be
            written.
    """
    tensors: dict[str, Tensor] = {}
    structure = _take_apart(read_checkpoint(source), "", tensors)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "source": source.name,
        "source_sha256": digest_of(source),
        "structure": json.dumps(structure),
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tensorfile.write(target, tensors, header)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{target.name}: it cannot be written to {target.parent} ({error}); make the folder writable or name "
            "another one"
        ) from error
    return len(tensors)


def _take_apart(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """A JSON value in which tensors are names; they are put into ``tensors``."""
    if isinstance(value, Tensor):
        name = path or "tensor"
        while name in tensors:  # another key reads alike: "a/b" beside "b" in "a", 1 beside "1"
            name += "'"
        tensors[name] = value
        return {"tensor": name, "parameter": isinstance(value, torch.nn.Parameter)}
    if isinstance(value, dict):
        return {"dict": [[_key(key), _take_apart(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_take_apart(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise UserError(f"weights file: {path} is a {type(value).__name__}, which cannot be converted")


def _key(key: Any) -> str | int:
    if not isinstance(key, str | int):
        raise UserError(f"weights file: it has the key {key!r}, which cannot be converted")
    return key


def _read_converted(file: Path) -> Any:
    tensors, header = tensorfile.read(file, "weights file", "convert it again")
    if header.get("format") != FORMAT:
        return tensors  # a plain safetensors file of someone else: a state dictionary
    if header.get("version") != VERSION:
        raise UserError(f"weights file {file.name}: version {header.get('version')} is not known here")
    try:
        return _put_together(jsonfile.loads(header["structure"]), tensors)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"weights file {file.name}: its header is damaged ({error}); convert it again") from error


def _put_together(structure: Any, tensors: dict[str, Tensor]) -> Any:
    if "tensor" in structure:
        tensor = tensors[structure["tensor"]]
        return torch.nn.Parameter(tensor) if structure["parameter"] else tensor
    if "dict" in structure:
        return {key: _put_together(item, tensors) for key, item in structure["dict"]}
    if "list" in structure:
        return [_put_together(item, tensors) for item in structure["list"]]
    return structure["value"]


def converted_name(source: str | os.PathLike[str]) -> str:
    """The name under which a conversion is found in place of its source."""
    return Path(source).with_suffix(".safetensors").name
