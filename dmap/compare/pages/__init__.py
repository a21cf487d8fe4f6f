"""Self-contained pages: a template, its style and scripts, and data, in one file that asks no network for anything."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

HERE = Path(__file__).parent


def page(name: str, title: str, scripts: Sequence[str], data: Any) -> str:
    """The page ``name.html`` with ``base.css`` and ``name.css``, these scripts, and data as JSON.

    The data stands in an element that browsers never run; scripts put it on the page as text only, so names of files
    and models cannot become markup.
    """
    filled = {
        "TITLE": html.escape(title),
        "STYLE": _style(name),
        "SCRIPT": "\n".join(_read(file) for file in scripts),
        "DATA": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    }
    return _filled(f"{name}.html", filled)


def sheet(title: str, body: str) -> str:
    """A page without scripts that looks like the report, around a body of HTML, whose texts are escaped already."""
    return _filled("sheet.html", {"TITLE": html.escape(title), "STYLE": _style("report", "sheet"), "BODY": body})


def _style(*names: str) -> str:
    return "\n".join(_read(f"{name}.css") for name in ("base", *names))


def _filled(file: str, filled: Mapping[str, str]) -> str:
    result = _read(file)
    # Split first: what is filled in is not searched again.
    first, *rest = result.split("{{")
    for part in rest:
        key, _, after = part.partition("}}")
        first += filled[key] + after
    return first


def _read(file: str) -> str:
    return (HERE / file).read_text(encoding="utf-8")


def data_uri(image: Tensor, quality: int | None = None) -> str:
    """A (3, h, w) uint8 image as a WebP data URI; lossless without a quality."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    if quality is None:
        picture.save(buffer, "WEBP", lossless=True, quality=60)
    else:
        picture.save(buffer, "WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
