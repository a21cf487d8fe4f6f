"""JSON files that others may have written or damaged: read within bounds, and checked whole against types.

A type is what ``typing`` calls one: ``int``, ``float``, ``str``, ``bool``, ``None``, ``list[...]``, ``tuple[...]``,
``dict[str, ...]``, unions, and dataclasses and typed dictionaries of such.
"""

from __future__ import annotations

import dataclasses
import json
import math
import stat
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from .errors import UserError

LARGEST = 200_000_000
"""Bytes that are read of a file at most, unless its kind says less."""
DIGITS = 40
"""Of a whole number at most; a seed has 20."""

Shape = TypeVar("Shape")


def read(file: Path, what: str, remedy: str, largest: int = LARGEST) -> Any:
    """Read JSON. It never waits: pipes and devices are no files.

    Args:
        what: it is, for the error: "prior file".
        remedy: what to do about a damaged one.
        largest: bytes that such a file has at most.

    Raises:
        UserError: if the file is missing, too large, or damaged; names it.
    """
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError("it is no file")
        if found.st_size > largest:
            raise UserError(f"it is larger than {largest} bytes")
        return loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # JSON and Unicode errors are ValueErrors
        raise UserError(f"{what} {file.name}: it cannot be read ({error}); {remedy}") from error


def loads(text: str) -> Any:
    """The content of JSON text, whose numbers are all finite.

    Raises:
        UserError: if it is no JSON, nested too deeply, or holds numbers that are not finite or too long.
    """
    try:
        return json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_constant)
    except RecursionError as error:
        raise UserError("it is nested too deeply") from error
    except ValueError as error:
        raise UserError(str(error)) from error


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise UserError(f"it holds a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UserError(f"it holds {text[:DIGITS]}, which is too large")
    return value


def _constant(text: str) -> float:
    raise UserError(f"it holds {text}, which is no number")


def shaped(kind: type[Shape], value: Any, where: str = "") -> Shape:
    """A value as a type says, whole: lists become tuples and dictionaries dataclasses where the type says so.

    Args:
        kind: the type.
        value: of ``loads``.
        where: it stands, for the error; "" at the top.

    Raises:
        UserError: says where something is missing, unknown or of another type; also what a dataclass says itself.
    """
    result: Shape = _shaped(kind, value, where)
    return result


def _shaped(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _one_of(inner, value, where)
    if origin is list:
        return [_shaped(inner[0], item, f"{where}[{index}]") for index, item in enumerate(_list(value, where))]
    if origin is tuple:
        return _tuple(inner, _list(value, where), where)
    if origin is dict:
        pairs = _is(dict, value, where).items()
        return {key: _shaped(inner[1], item, f"{where}.{key}") for key, item in pairs}
    if dataclasses.is_dataclass(kind):
        names = {field.name for field in dataclasses.fields(kind)}
        needed = {
            field.name
            for field in dataclasses.fields(kind)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        }
        return typing.cast(Any, kind)(**_members(kind, names, needed, value, where))
    if typing.is_typeddict(kind):
        return _members(kind, None, set(kind.__required_keys__), value, where)
    return _is(kind, value, where)


def _members(kind: Any, names: set[str] | None, needed: set[str], value: Any, where: str) -> dict[str, Any]:
    """The members of a dictionary; ``names`` are all that it may have, None: others are left as they are."""
    found, hints = _is(dict, value, where), typing.get_type_hints(kind)
    missing = sorted(needed - set(found))
    if missing:
        raise UserError(f"{where or 'it'} lacks {', '.join(missing)}")
    unknown = sorted(set(found) - names) if names is not None else []
    if unknown:
        raise UserError(f"{where or 'it'} has the unknown {', '.join(unknown)[:200]}")
    return {
        key: _shaped(hints[key], item, f"{where}.{key}" if where else key) if key in hints else item
        for key, item in found.items()
    }


def _tuple(inner: tuple[Any, ...], value: list[Any], where: str) -> tuple[Any, ...]:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_shaped(inner[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if len(value) != len(inner):
        raise UserError(f"{where} has {len(value)} entries, {len(inner)} are expected")
    return tuple(_shaped(one, item, f"{where}[{index}]") for index, (one, item) in enumerate(zip(inner, value)))  # noqa: B905


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    *others, last = [kind for kind in kinds if kind is not type(None)]
    for kind in others:
        try:
            return _shaped(kind, value, where)
        except UserError:
            continue
    return _shaped(last, value, where)


def _list(value: Any, where: str) -> list[Any]:
    return list(value) if isinstance(value, tuple) else _is(list, value, where)


def _is(kind: Any, value: Any, where: str) -> Any:
    """The value itself; whole numbers are numbers as well, truth values are neither."""
    if kind is float and type(value) is int:
        return value
    if type(value) is not kind:
        named = {dict: "an object", list: "a list", str: "a text", float: "a number", int: "a whole number"}
        wanted = named.get(kind, getattr(kind, "__name__", str(kind)))
        raise UserError(f"{where or 'it'} is {repr(value)[:60]}, {wanted} is expected")
    return value
