"""Schemas for hosts of different age."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from .host import features


def schema(*, search_aliases: Sequence[str], **options: Any) -> io.Schema:
    """An ``io.Schema`` in the pack's menu; search aliases are left out where the host does not know them yet."""
    if features.knows(io.Schema, "search_aliases"):
        options["search_aliases"] = list(search_aliases)
    return io.Schema(**{"category": "DMAP", **options})
