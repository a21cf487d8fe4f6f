"""Figures for papers: what SVG and PDF hold, and that both are whole files."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from comparetoys import comparison
from dmap.compare import charts, drawing, figures, results
from dmap.compare.folder import Folder

SVG = "{http://www.w3.org/2000/svg}"


def stream_of(pdf: bytes) -> str:
    """A page's strokes, found by way of the table of contents at the end, as a reader does."""
    at = int(pdf.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert pdf[at : at + 4] == b"xref"
    places = [int(line.split()[0]) for line in pdf[at:].split(b"\n")[3:9]]
    for number, place in enumerate(places, 1):
        assert pdf[place:].startswith(f"{number} 0 obj".encode())
    one = pdf[places[3] : places[4]]
    length = int(re.search(rb"/Length (\d+)", one)[1])  # type: ignore[index]
    begin = one.index(b"stream\n") + 7
    assert one[begin + length :].startswith(b"\nendstream")
    return zlib.decompress(one[begin : begin + length]).decode("ascii")


def test_the_same_strokes_in_both() -> None:
    made = drawing.Drawing(200, 100, "a <title> (with) \\signs \N{PLUS-MINUS SIGN}")
    made.line([(10, 10), (190, 10)], (255, 0, 0), 2, dash=True)
    made.mark(2, 50, 50)
    made.text(100, 90, "x < y \N{PLUS-MINUS SIGN}1", anchor="end", upward=True)
    root = ElementTree.fromstring(made.svg())
    assert root.get("viewBox") == "0 0 200 100"
    assert root.find(f"{SVG}title").text == made.title  # type: ignore[union-attr]
    assert root.find(f"{SVG}text").text == "x < y \N{PLUS-MINUS SIGN}1"  # type: ignore[union-attr]
    assert len(root.find(f"{SVG}polygon").get("points", "").split()) == 3  # type: ignore[union-attr]
    strokes = stream_of(made.pdf())
    assert "1.000 0.000 0.000 RG 2 w [4 3] 0 d 10.00 90.00 m 190.00 90.00 l S" in strokes, "y points up in PDF"
    assert "(x < y \\2611) Tj" in strokes
    width = drawing.width_of("x < y 01", 9)  # a sign beyond ASCII counts as a digit
    assert f"0 1 -1 0 100.00 {10 - width:.2f} Tm" in strokes
    assert made.pdf() == made.pdf()
    assert b"\\(with\\) \\\\signs \\261" in made.pdf()


def test_widths_are_helvetica_s() -> None:
    """Adobe's metrics: 'Hamburgefons' sums to 722 + 556 + 833 + 556 + 556 + 333 + 556 + 556 + 278 + 556 + 556 + 500."""
    assert drawing.width_of("Hamburgefons", 1000) == 6558
    assert drawing.width_of("iiii", 10) < drawing.width_of("MMMM", 10) / 3


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 17.0), (1e-4, 3e-4), (-0.02, 0.0)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = charts.Axis(low, high, 0, 100).ticks
    assert 3 <= len(found) <= 7
    assert all(low - 1e-9 <= at <= high + 1e-9 for at in found)
    assert len({f"{at:g}" for at in found}) == len(found)


def test_a_chart_puts_values_where_they_belong() -> None:
    nothing = np.array([np.nan] * 2)
    made = charts.intervals("t", "points", ["a", "b"], np.array([1.0, np.nan]), np.array([0.0, np.nan]), nothing)
    assert sum(isinstance(part, drawing.Text) and part.text == "none" for part in made.parts) == 1
    made = charts.intervals("t", "points", ["a"], np.array([1.0]), np.array([0.0]), np.array([2.0]))
    (bar,) = (part for part in made.parts if isinstance(part, drawing.Line) and part.width == 2)
    (mark,) = (part for part in made.parts if isinstance(part, drawing.Area))
    middle = np.mean([point[0] for point in mark.points])
    assert middle == pytest.approx(np.mean([point[0] for point in bar.points]))
    for part in made.parts:
        points = [part.at] if isinstance(part, drawing.Text) else part.points
        assert all(0 <= x <= made.width and 0 <= y <= made.height for x, y in points)


def test_a_comparison_has_figures(tmp_path: Path) -> None:
    comparison(tmp_path / "c", count=2, levels=(3e-4, 6e-4)).run()
    folder = Folder(tmp_path / "c")
    found = figures.write(results.load(folder), folder, {})
    names = {"cross_scores", "own_and_others", "attack", "gain_over_start", "pareto"}
    assert {file.name for file in found} == {f"{name}.{kind}" for name in names for kind in ("svg", "pdf")}
    for file in found:
        if file.suffix == ".svg":
            text = file.read_text(encoding="utf-8")
            ElementTree.fromstring(text)
            assert "nan" not in text
        else:
            assert "nan" not in stream_of(file.read_bytes())
