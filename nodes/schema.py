"""Schemas for hosts of different age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from comfy_api.latest import io


def schema(*, search_aliases: Sequence[str], **options: Any) -> io.Schema:
    """An ``io.Schema`` in the pack's menu; search aliases are left out where the host does not know them yet."""
    if any(field.name == "search_aliases" for field in fields(io.Schema)):
        options["search_aliases"] = list(search_aliases)
    return io.Schema(**{"category": "DMAP", **options})
