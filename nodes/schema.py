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


def widget(name: str, *, id: str = "", optional: bool = False, **others: Any) -> io.Input:  # noqa: A002 - the host's word
    """The widget of one of dmap's settings; ``others`` replace what the setting says, such as a default."""
    about = describe()[name]
    facts: dict[str, Any] = {"default": default(name), "optional": optional, "tooltip": about.text}
    if about.advanced and features.knows(io.Int.Input, "advanced"):  # young hosts fold these
        facts["advanced"] = True
    id = id or about.widget or name  # noqa: A001
    if about.choices:
        return io.Combo.Input(id, options=list(about.choices), **{**facts, **others})
    facts |= {"min": about.low, "max": about.high, "step": about.step}
    if isinstance(default(name), int):
        return io.Int.Input(id, **{**facts, **others})
    if about.between_steps:
        facts["round"] = False
    return io.Float.Input(id, **{**facts, **others})
