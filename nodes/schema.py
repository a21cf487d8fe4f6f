"""Schemas for hosts of different age."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from comfy_api.latest import io

from ..dmap.errors import UserError, repeated
from ..dmap.settings import default, describe
from .host import features
from .sockets import SOCKET_TYPES

Value = TypeVar("Value")


def never_raises(value: Value) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """For all that the host calls outside of ``execute``: an exception there ends its worker, or hides the node.

    Args:
        value: is returned instead; what was wrong stands in the log.
    """

    def guard(function: Callable[..., Value]) -> Callable[..., Value]:
        @functools.wraps(function)
        def guarded(*args: Any, **inputs: Any) -> Value:
            try:
                return function(*args, **inputs)
            except Exception as error:
                logging.warning("ComfyUI-DMAP: %s failed: %s", function.__qualname__, error)
                return value

        return guarded

    return guard


def listed(read: Callable[[], list[str]], otherwise: Sequence[str] = ()) -> list[str]:
    """Options that are read from the disk; the others if that fails."""
    return never_raises(list(otherwise))(read)()


class Node(io.ComfyNode):
    """A node whose ``execute`` gets values of its sockets' types and ranges, whatever was linked, or an error by name.

    The host checks only what a prompt writes down, not what comes by a link. An optional value that is None counts as
    left out.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        given = cls.__dict__.get("execute")
        if given is None or hasattr(given.__func__, "__wrapped__"):  # the host makes copies of the class
            return
        function, known = given.__func__, cast(dict[str, Any], {})

        @functools.wraps(function)
        def execute(cls: type[Node], **inputs: Any) -> io.NodeOutput:
            if not known:
                found = cls.define_schema()
                known["name"] = found.display_name or found.node_id
                known["inputs"] = {one.id: one for one in found.inputs}
            values = {name: value for name, value in inputs.items() if not _left_out(known["inputs"].get(name), value)}
            for name, value in values.items():
                if name in known["inputs"]:
                    values[name] = _checked(known["name"], known["inputs"][name], value)
            result: io.NodeOutput = function(cls, **values)
            return result

        wrapped: Any = classmethod(cast(Any, execute))
        setattr(cls, "execute", wrapped)  # noqa: B010


def _left_out(about: Any, value: Any) -> bool:
    return value is None and about is not None and bool(about.optional)


def _checked(node: str, about: Any, value: Any) -> Any:
    """A value of an input's type and range; whole numbers for widgets that are whole.

    Raises:
        UserError: names node and input.
    """
    kind = str(about.get_io_type() if hasattr(about, "get_io_type") else about.io_type)
    low, high = getattr(about, "min", None), getattr(about, "max", None)
    if kind in ("INT", "FLOAT"):
        number = _number(value, whole=kind == "INT")
        if number is None or (low is not None and number < low) or (high is not None and number > high):
            what = "a whole number" if kind == "INT" else "a number"
            bounds = "" if low is None or high is None else f" from {low:g} to {high:g}"
            raise UserError.of(f"{node}, {about.id}", repeated(value), f"{what}{bounds}")
        return number
    wanted = {"STRING": str, "BOOLEAN": bool, "COMBO": str}.get(kind)
    if wanted is not None:
        if not isinstance(value, wanted):
            what = "a text" if wanted is str else "true or false"
            raise UserError.of(f"{node}, {about.id}", repeated(value), what)
        return value
    known = SOCKET_TYPES.get(kind)
    if known is not None and not isinstance(value, known):
        raise UserError.of(f"{node}, socket '{about.id}'", repeated(value), remedy=f"connect one of type {kind}")
    return value


def _number(value: Any, whole: bool) -> int | float | None:
    """A finite number, as it is or as text; None for everything else, and for fractions where none may be."""
    if isinstance(value, bool | bytes | None):
        return None
    try:
        number = float(value)
        exact = int(value) if whole and number == int(number) else None
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return exact if whole else number if math.isfinite(number) else None


def schema(*, search_aliases: Sequence[str], **options: Any) -> io.Schema:
    """An ``io.Schema`` in the pack's menu; to hosts that do not know search aliases yet the page brings them."""
    if features.knows(io.Schema, "search_aliases"):
        options["search_aliases"] = list(search_aliases)
    elif options.get("inputs"):
        _with_fact(options["inputs"][0], "dmap_search_aliases", list(search_aliases))
    return io.Schema(**{"category": "DMAP", **options})


def widget(
    name: str,
    *,
    id: str = "",  # noqa: A002 - the host's word
    optional: bool = False,
    fold: bool = True,
    before: Any = None,
    **others: Any,
) -> io.Input:
    """The widget of one of dmap's settings; ``others`` replace what the setting says, such as a default.

    Args:
        fold: fold it away if the setting is advanced.
        before: what the page gives to graphs that were saved before there was this widget; the default if None.
    """
    about = describe()[name]
    facts: dict[str, Any] = {"default": default(name), "optional": optional, "tooltip": about.text}
    id = id or about.widget or name  # noqa: A001
    if about.choices:
        made = io.Combo.Input(id, options=list(about.choices), **{**facts, **others})
    else:
        facts |= {"min": about.low, "max": about.high, "step": about.step}
        if about.between_steps:
            facts["round"] = False
        made = (io.Int if isinstance(default(name), int) else io.Float).Input(id, **{**facts, **others})
    if before is not None:
        _with_fact(made, "dmap_before", before)
    return advanced(made) if fold and about.advanced else made


def _with_fact(made: Any, name: str, value: Any) -> None:
    """Hand a fact about an input on to the page."""
    made.extra_dict = {**(made.extra_dict or {}), name: value}


def advanced(made: Any) -> Any:
    """A widget that the page folds away until it is asked for.

    Handed on as one of the host's further facts, for 0.3.75 has the word in its page but not in its schema.
    """
    _with_fact(made, "advanced", True)
    return made
