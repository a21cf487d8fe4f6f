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
STYLES = "style-src 'unsafe-inline'"


def page(name: str, title: str, scripts: Sequence[str], data: Any) -> str:
    """The page ``name.html`` with ``base.css`` and ``name.css``, these scripts, and data as JSON.

    The data stands in an element that browsers never run; scripts put it on the page as text only, so names of files
    and models cannot become markup.
    """
    filled = {
        "SCRIPT": "\n".join(_read(file) for file in scripts),
        "DATA": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    }
    return _framed(name, title, (name,), filled, f"img-src data:; {STYLES}; script-src 'unsafe-inline'")


def sheet(title: str, body: str) -> str:
    """A page without scripts that looks like the report, around a body of HTML, whose texts are escaped already."""
    return _framed("sheet", title, ("report", "sheet"), {"BODY": body}, STYLES)


def _framed(name: str, title: str, styles: Sequence[str], filled: Mapping[str, str], policy: str) -> str:
    """The body ``name.html`` in ``frame.html``: ``policy`` is what the page may use of the browser."""
    shown = html.escape(title)
    style = "\n".join(_read(f"{one}.css") for one in ("base", *styles))
    body = _filled(f"{name}.html", {"TITLE": shown, **filled})
    return _filled("frame.html", {"TITLE": shown, "STYLE": style, "POLICY": policy, "BODY": body})


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
