"""Curves of an ascent as an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import UserError
from ..method.trace import Row, Trace

BACKGROUND, INK, GRID = (255, 255, 255), (40, 40, 40), (225, 225, 225)
# Okabe and Ito's palette: distinguishable with colour-blind eyes.
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))

_PANELS: tuple[tuple[str, Callable[[Row], list[float]]], ...] = (
    ("objective  J = lambda Q - w D", lambda row: row.objective),
    ("prior  Q, 0..100, higher is better", lambda row: [*row.prior, *row.judge]),
    ("fidelity  D, 0 = the photograph", lambda row: row.fidelity),
    ("latent norm, 1 at the start", lambda row: row.latent_norm),
)


def plot_trace(trace: Trace, width: int = 960, height: int = 640) -> Tensor:
    """Draw objective, prior, fidelity and latent norm over the iterations, a line an image.

    Returns:
        (1, 3, height, width) in [0, 1].

    Raises:
        UserError: if the trace holds no iteration.
    """
    if not trace.rows:
        raise UserError("trace: it holds no iteration; connect the trace output of DMAP Optimize")
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    steps = [row.iteration for row in trace.rows]
    for panel, (title, values) in enumerate(_PANELS):
        left, top = (panel % 2) * width // 2, (panel // 2) * height // 2
        box = (left + 70, top + 34, left + width // 2 - 20, top + height // 2 - 30)
        lines = list(zip(*(values(row) for row in trace.rows), strict=True))
        if trace.rows[0].judge and title.startswith("prior"):
            title = f"prior, then judge{title.removeprefix('prior')}"
        _panel(draw, box, title, steps, lines, trace.best_iteration * (1 + len(lines) // len(trace.rows[0].objective)))
    return as_batch(canvas)


def as_batch(canvas: Image.Image) -> Tensor:
    """A picture as (1, 3, h, w) in [0, 1]."""
    return torch.from_numpy(np.asarray(canvas, dtype=np.float32) / 255.0).permute(2, 0, 1)[None]


def plot_scores(rows: Sequence[Mapping[str, Any]], width: int = 960) -> Tensor:
    """Draw scores as bars, a block a judge and a bar an image, with the score before as an outline.

    Args:
        rows: with "judge", "optimised" (None: unknown, no mark), "after" and, if there is one, "before"; lists of
            0..100, one number an image.

    Returns:
        (1, 3, height, width) in [0, 1].

    Raises:
        UserError: if there is no row.
    """
    if not rows:
        raise UserError("scores: there is no judge; connect at least one prior")
    bar, head, font = 22, 34, ImageFont.load_default(14)
    height = 20 + sum(head + bar * len(row["after"]) for row in rows)
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    x0, x1, y = 60, width - 170, 10
    for index, row in enumerate(rows):
        mark = {None: "", False: "  (not optimised)", True: "  (optimised: proves nothing)"}[row["optimised"]]
        draw.text((x0, y + 8), f"{row['judge']}{mark}", fill=INK, font=font)
        y += head
        for image, after in enumerate(row["after"]):
            draw.text((x0 - 8, y + bar // 2), str(image + 1), fill=INK, font=font, anchor="rm")
            draw.line((x0, y + bar - 2, x1, y + bar - 2), fill=GRID)
            draw.rectangle((x0, y + 3, x0 + after / 100 * (x1 - x0), y + bar - 5), fill=COLOURS[index % len(COLOURS)])
            text = f"{after:.1f}"
            if "before" in row:
                before = row["before"][image]
                draw.rectangle((x0, y + 3, x0 + before / 100 * (x1 - x0), y + bar - 5), outline=INK, width=2)
                text = f"{before:.1f} -> {after:.1f} ({after - before:+.1f})"
            draw.text((x1 + 8, y + bar // 2), text, fill=INK, font=font, anchor="lm")
            y += bar
    return as_batch(canvas)


def _panel(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    title: str,
    steps: Sequence[int],
    lines: Sequence[Sequence[float]],
    best: Sequence[int],
) -> None:
    x0, y0, x1, y1 = box
    font = ImageFont.load_default(14)
    everything = [v for line in lines for v in line]
    low, high = min(everything), max(everything)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    span = max(steps[-1] - steps[0], 1)
    draw.text((x0, y0 - 24), title, fill=INK, font=font)
    for tick in range(5):
        y = y1 - tick * (y1 - y0) / 4
        draw.line((x0, y, x1, y), fill=GRID)
        draw.text((x0 - 6, y), f"{low + tick * (high - low) / 4:.3g}", fill=INK, font=font, anchor="rm")
    for step in (steps[0], steps[-1]):
        draw.text((x0 + (step - steps[0]) / span * (x1 - x0), y1 + 4), str(step), fill=INK, font=font, anchor="mt")
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        points = [
            (x0 + (step - steps[0]) / span * (x1 - x0), y1 - (value - low) / (high - low) * (y1 - y0))
            for step, value in zip(steps, line, strict=True)
        ]
        if len(points) > 1:
            draw.line(points, fill=colour, width=2)
        x, y = points[steps.index(best[index])] if index < len(best) else points[-1]
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
