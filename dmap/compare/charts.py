"""Charts with axes and units: intervals, a scatter with errors, curves with errors, and a table of colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .drawing import BLACK, COLOURS, GREY, PALE, Colour, Drawing, width_of
from .results import Array, Booleans

WIDTH, BOTTOM, TOP, RIGHT, ROW, SMALL = 420.0, 40.0, 26.0, 14.0, 18.0, 8.0
SPARE = 1.2
"""Texts get so much more room than Helvetica needs: where it is absent browsers take wider fonts."""
LOW, HIGH = (33, 102, 172), (200, 90, 10)


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to a drawing's points."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values, about five."""
        raw = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        return [step * number for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _axis(values: Sequence[float] | Array, start: float, end: float, zero: bool = True) -> Axis:
    """An axis that holds the finite ones of these values, and zero, with a little room."""
    given = np.asarray(values, dtype=float)
    known = [*given[np.isfinite(given)].tolist(), *([0.0] if zero else [])]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 1, high + 1
    room = 0.06 * (high - low)
    return Axis(low - room, high + room, start, end)


def _frame(drawing: Drawing, x: Axis, y: Axis | None, x_label: str, y_label: str = "") -> None:
    """Grid, ticks and labels; without a vertical axis the rows name themselves."""
    bottom, top = drawing.height - BOTTOM, TOP
    for at in x.ticks:
        drawing.line([(x(at), top), (x(at), bottom)], PALE, 0.6)
        drawing.text(x(at), bottom + 12, f"{at:g}", SMALL, "middle", GREY)
    for at in y.ticks if y else []:
        assert y is not None
        drawing.line([(x.start, y(at)), (x.end, y(at))], PALE, 0.6)
        drawing.text(x.start - 5, y(at) + 3, f"{at:g}", SMALL, "end", GREY)
    drawing.line([(x.start, bottom), (x.end, bottom)], GREY, 0.8)
    if x.low < 0 < x.high:
        drawing.line([(x(0), top), (x(0), bottom)], GREY, 0.8)
    if y is not None:
        drawing.line([(x.start, top), (x.start, bottom)], GREY, 0.8)
        if y.low < 0 < y.high:
            drawing.line([(x.start, y(0)), (x.end, y(0))], GREY, 0.8)
        drawing.text(13, (top + bottom) / 2, y_label, 9, "middle", upward=True)
    drawing.text((x.start + x.end) / 2, bottom + 30, x_label, 9, "middle")
    drawing.text(drawing.width / 2, 14, drawing.title, 10, "middle")


def _shortened(text: str, size: float, room: float) -> str:
    while SPARE * width_of(text, size) > room and len(text) > 4:
        text = text[:-4] + "..."
    return text


def _left(names: Sequence[str]) -> float:
    """Room for rows' names."""
    return min(170.0, 16 + SPARE * max(width_of(name, 9) for name in names))


def intervals(title: str, label: str, names: Sequence[str], middle: Array, low: Array, high: Array) -> Drawing:
    """A row a name with its value and its interval; names without a value are listed with "none"."""
    left = _left(names)
    drawing = Drawing(WIDTH, TOP + BOTTOM + ROW * len(names), title)
    x = _axis(np.concatenate([middle, low, high]), left, WIDTH - RIGHT)
    _frame(drawing, x, None, label)
    for row, name in enumerate(names):
        y = TOP + ROW * (row + 0.5)
        drawing.text(left - 8, y + 3, _shortened(name, 9, left - 14), 9, "end")
        if not math.isfinite(middle[row]):
            drawing.text(x(0) + 6, y + 3, "none", SMALL, "start", GREY)
            continue
        if math.isfinite(low[row]) and math.isfinite(high[row]):
            drawing.line([(x(low[row]), y), (x(high[row]), y)], COLOURS[0], 2)
        drawing.mark(0, x(middle[row]), y, 4)
    return drawing


def _legend(drawing: Drawing, names: Sequence[str], left: float) -> None:
    """Marks and names below one another, right of the plot."""
    for row, name in enumerate(names):
        y = TOP + 8 + 14 * row
        drawing.mark(row, left, y, 3.5)
        drawing.text(left + 9, y + 3, _shortened(name, SMALL, drawing.width - left - 12), SMALL)


def _beside(names: Sequence[str]) -> float:
    """Room for the legend."""
    return min(150.0, 24 + SPARE * max(width_of(name, SMALL) for name in names))


def scatter(
    title: str, labels: tuple[str, str], names: Sequence[str], x: Array, y: Array, errors: tuple[Array, Array]
) -> Drawing:
    """A mark a name with errors both ways, and the line on which both values are equal."""
    beside = _beside(names)
    height = max(300.0, TOP + BOTTOM + 14 * len(names))
    drawing = Drawing(WIDTH, height, title)
    spread = [x - np.nan_to_num(errors[0]), x + np.nan_to_num(errors[0])]
    spread += [y - np.nan_to_num(errors[1]), y + np.nan_to_num(errors[1])]
    across = _axis(np.concatenate(spread), 48, WIDTH - RIGHT - beside)
    up = Axis(across.low, across.high, height - BOTTOM, TOP)
    _frame(drawing, across, up, *labels)
    ends = [(across(at), up(at)) for at in (across.low, across.high)]
    drawing.line(ends, GREY, 0.8, dash=True)
    for row in range(len(names)):
        if not (math.isfinite(x[row]) and math.isfinite(y[row])):
            continue
        colour = COLOURS[row % len(COLOURS)]
        (ex, ey) = (float(np.nan_to_num(one[row])) for one in errors)
        drawing.line([(across(x[row] - ex), up(y[row])), (across(x[row] + ex), up(y[row]))], colour, 1.2)
        drawing.line([(across(x[row]), up(y[row] - ey)), (across(x[row]), up(y[row] + ey))], colour, 1.2)
        drawing.mark(row, across(x[row]), up(y[row]))
    _legend(drawing, names, WIDTH - beside)
    return drawing


def curves(
    title: str, labels: tuple[str, str], names: Sequence[str], x: Array, y: Array, error: Array
) -> Drawing:  # fmt: skip
    """A line a name through (x, y), each (names, points), with errors of y; NaN ends a line."""
    beside = _beside(names)
    height = max(280.0, TOP + BOTTOM + 14 * len(names))
    drawing = Drawing(WIDTH, height, title)
    across = _axis(x, 48, WIDTH - RIGHT - beside, zero=False)
    up = _axis(np.concatenate([y - np.nan_to_num(error), y + np.nan_to_num(error)]), height - BOTTOM, TOP)
    _frame(drawing, across, up, *labels)
    for row in range(len(names)):
        colour = COLOURS[row % len(COLOURS)]
        there = np.isfinite(x[row]) & np.isfinite(y[row])
        points = [(across(a), up(b)) for a, b in zip(x[row][there], y[row][there], strict=True)]
        if len(points) > 1:
            drawing.line(points, colour, 1.4)
        for (at, middle), spread, value in zip(points, error[row][there], y[row][there], strict=True):
            if math.isfinite(spread):
                drawing.line([(at, up(value - spread)), (at, up(value + spread))], colour, 1.0)
            drawing.mark(row, at, middle, 3.5)
    _legend(drawing, names, WIDTH - beside)
    return drawing


def heat(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    mean: Array,
    error: Array,
    framed: Booleans,
    digits: int = 1,
) -> Drawing:
    """A table (rows, columns) in colours from blue (below 0) over white to orange; framed cells prove nothing."""
    left, side, slant = _left(rows), 62.0, 34.0
    width = max(left + side * len(columns) + RIGHT, 16 + SPARE * width_of(title, 10))
    drawing = Drawing(width, TOP + slant + 26 * len(rows) + 12, title)
    drawing.text(drawing.width / 2, 14, title, 10, "middle")
    largest = max(1e-9, float(np.nanmax(np.abs(mean))) if np.isfinite(mean).any() else 1.0)
    for column, name in enumerate(columns):
        # Every other name a line higher, so that neighbours do not run into one another.
        y = TOP + slant - 8 - 13 * (column % 2)
        drawing.text(left + side * (column + 0.5), y, _shortened(name, SMALL, 2 * side - 8), SMALL, "middle")
    for row, name in enumerate(rows):
        y = TOP + slant + 26 * row
        drawing.text(left - 8, y + 16, _shortened(name, 9, left - 14), 9, "end")
        for column in range(len(columns)):
            x, value = left + side * column, float(mean[row, column])
            if not math.isfinite(value):
                drawing.text(x + side / 2, y + 16, "none", SMALL, "middle", GREY)
                continue
            if framed[row, column]:
                drawing.box(x + 0.5, y + 0.5, side - 1, 25, BLACK)
            colour = _heat(value / largest)
            edge = 2.5 if framed[row, column] else 0.5
            drawing.box(x + edge, y + edge, side - 2 * edge, 26 - 2 * edge, colour)
            text = f"{value:+.{digits}f}"
            if math.isfinite(error[row, column]):
                text += f" \N{PLUS-MINUS SIGN}{error[row, column]:.{digits}f}"
            ink = (255, 255, 255) if sum(colour) < 380 else BLACK
            drawing.text(x + side / 2, y + 16, text, SMALL, "middle", ink)
    return drawing


def _heat(share: float) -> Colour:
    end, amount = (HIGH if share > 0 else LOW), min(1.0, abs(share))
    red, green, blue = (round(255 + (value - 255) * amount) for value in end)
    return red, green, blue
