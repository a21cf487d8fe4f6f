"""Schemas for hosts of different age."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..dmap.settings import default, describe
from .host import features


def schema(*, search_aliases: Sequence[str], **options: Any) -> io.Schema:
    """An ``io.Schema`` in the pack's menu; search aliases are left out where the host does not know them yet."""
    if features.knows(io.Schema, "search_aliases"):
        options["search_aliases"] = list(search_aliases)
    return io.Schema(**{"category": "DMAP", **options})


def widget(name: str, *, id: str = "", optional: bool = False, fold: bool = True, **others: Any) -> io.Input:  # noqa: A002 - the host's word
    """The widget of one of dmap's settings; ``others`` replace what the setting says, such as a default.

    Args:
        fold: fold it away if the setting is advanced.
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
    return advanced(made) if fold and about.advanced else made


def advanced(made: Any) -> Any:
    """A widget that the page folds away until it is asked for.

    Handed on as one of the host's further facts, for 0.3.75 has the word in its page but not in its schema.
    """
    made.extra_dict = {**(made.extra_dict or {}), "advanced": True}
    return made
