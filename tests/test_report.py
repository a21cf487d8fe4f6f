"""The report in a real browser at desktop and phone size, and the tables behind it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENSHOTS, chromium, needs_chromium, watch

from comparetoys import comparison, with_a_judge
from dmap.cli import main
from dmap.compare import mixture, paper, parts, report, results, srcc
from dmap.compare.folder import Folder
from dmap.priors import priorfile

__all__ = ["chromium"]
NASTY = "</script><img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison with names that try to be markup, votes and a mixture."""
    path = tmp_path_factory.mktemp("comparison") / "toys"
    with_a_judge(path, NASTY)
    return path


def ranking() -> dict[str, Any]:
    one = {
        "models": ["red", "smooth", "grey"], "strengths": [1.0, 0.1, -1.1], "low": [0.6, -0.3, -1.6],
        "high": [1.5, 0.5, -0.8], "thurstone": [0.6, 0.1, -0.7], "votes": [10, 12, 11], "above": [0.99, 0.9],
        "connected": True,
    }  # fmt: skip
    where = {"photograph": NASTY, "degradation": "noise", "level": 3e-4}
    observers = [{"name": "o1", "votes": 33, "catches": [4, 4], "repeats": [2, 3], "left": 0.5}]
    return {
        "study": "s1", "overall": one, "degradations": {"noise": one}, "agreement": None, "strategy": "random",
        "resampled": "photographs only", "verdict": "Shown: red above smooth, grey.", "photographs": 3,
        "pairs": [{**where, "a": "red", "b": "grey", "votes_a": 3.0, "votes_b": 1.0}],
        "observers": observers, "problems": [{"file": "<b>x</b>.json", "text": "it is empty", "used": False}],
    }  # fmt: skip


def simulated() -> dict[str, Any]:
    rows = [
        {
            "strategy": strategy,
            "follows": 0.5,
            "votes": votes,
            "right": right,
            "first": right,
            "error": 0.01,
            "more": 0.02 * (strategy == "debiased"),
            "more_error": 0.01,
        }
        for strategy in ("debiased", "random")
        for votes, right in ((10, 0.7), (40, 0.8), (160, 0.95))
    ]
    return {"pairs": 10, "repeats": 20, "rows": rows}


def mixed() -> dict[str, Any]:
    row = {
        "name": "mix", "gain": 2.0, "difference": None, "low": None, "high": None, "measures": {"psnr": -0.25},
        "judged": {"mean": [2.0], "error": [0.5]},
    }  # fmt: skip
    check = {"rows": [row], "photographs": 3, "judging": "judged by all", "judges": ["=judge"], "verdict": "No."}
    proposal = {
        "parts": [["red", 0.75], ["grey", 0.25]],
        "floor": 0.25,
        "expected": 2.5,
        "gains": {"=judge": 2.5},
        "displeased": ["grey"],
        "left_out": {"robust(red)": "it is a composition"},
    }
    return {"proposal": proposal, "verdict": "No: it does not.", "check": check}


@pytest.fixture(scope="module")
def page_file(folder: Path) -> Path:
    old = {"Koniq <b>": {"red": 0.5, "smooth": 0.6, "grey": 0.7}}
    extra = {"ranking": ranking(), "simulation": simulated(), "mixture": mixed(), "srcc": old}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(srcc, "LEAST", 3)
        return report.write(results.load(Folder(folder)), Folder(folder), extra, f"Toys {NASTY}")


@needs_chromium
@pytest.mark.parametrize(
    ("name", "width", "height"), [("desktop", 1280, 900), ("tablet", 820, 1100), ("phone", 390, 800)]
)
def test_the_report_in_a_browser(chromium: Any, page_file: Path, name: str, width: int, height: int) -> None:
    page = chromium.new_context(viewport={"width": width, "height": height}).new_page()
    faults = watch(page)
    page.on("dialog", lambda dialog: faults.append("a script ran out of a name"))
    page.goto(page_file.as_uri())
    page.screenshot(path=SCREENSHOTS / f"report_{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("#cross tbody tr").count() == 3
    assert page.locator("#cross tbody td").count() == 3 * 4
    assert NASTY in page.locator("h1").inner_text()
    assert page.locator("img[src=x]").count() == 0
    for part in ("#people", "#votes", "#mixture"):
        assert page.locator(part).is_visible()
    assert "\N{MINUS SIGN}0.25" in page.locator("#mixture-table").inner_text()
    assert "+2.0 ±0.5" in page.locator("#mixture-table").inner_text()
    assert "No model pleased grey" in page.locator("#mixture-lead").inner_text()
    assert "0.75 red" in page.locator("#mixture-lead").inner_text()
    assert "4 of 4" in page.locator("#observers").inner_text()
    assert page.locator("#sheet-rest").inner_text() == ""
    assert "<b>x</b>.json" in page.locator("#problems").inner_text()
    assert page.locator("figure svg:not(.swatch)").count() == 6
    data = json.loads((page_file.parent / report.DATA).read_text(encoding="utf-8"))
    assert page.locator("#failures .card").count() == len(data["failures"])
    assert page.locator("#attacks .card").count() == len(data["attacks"])
    assert page.locator("#gmad tbody tr").count() == 4
    assert page.locator("#curves-table tbody tr").count() == 3 * 2
    assert "Koniq <b>" in page.locator("#srcc").inner_text()
    assert page.locator("#findings .headline").inner_text().startswith("No difference between the models is shown")
    group = data["groups"][0]
    tested = [*group["contrasts"], *group["against_start"]]
    assert page.locator("#differences tbody tr").count() == len(tested) > 0
    assert "robust(red) is left out" in page.locator("#mixture-lead").inner_text()

    gain = page.locator("#cross tbody td").first.inner_text()
    page.get_by_role("button", name="Score", exact=True).click()
    assert page.locator("#cross tbody tr").count() == 4
    assert page.locator("#cross tbody td").nth(4).inner_text() != gain
    page.select_option("#degradation", label="noise")
    page.select_option("#level", label="0.0006")
    assert "3 starts of 3 photographs" in page.locator("#scope").inner_text()

    page.locator("#sheet .thumb").nth(2).click()
    title = page.locator("#viewer-title").inner_text()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    assert page.locator("#viewer-title").inner_text() != title
    assert "scale(2)" in page.locator("#viewer-image").get_attribute("style")
    page.screenshot(path=SCREENSHOTS / f"report_viewer_{name}.png")
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    strip = page.locator("#sheet .strip")
    crops = strip.first.locator("img").evaluate_all("images => images.map((image) => image.style.transform)")
    assert set(crops) == {"translate(-50%, -50%) scale(2)"}, "the row does not show the crop"
    assert strip.nth(1).locator("img").first.get_attribute("style") is None
    page.locator("#sheet .thumb").nth(2).click()
    corner = page.locator("#viewer .pane").bounding_box()
    side = min(corner["width"], corner["height"])  # the image is square, whole and in the middle
    x, y = (corner[at] + (corner[length] - side) / 2 for at, length in (("x", "width"), ("y", "height")))
    page.mouse.dblclick(x + 2, y + 2)
    page.screenshot(path=SCREENSHOTS / f"report_crop_{name}.png")
    page.locator("#viewer-close").click()
    at = strip.first.locator("img").first.get_attribute("style")
    found = re.search(r"translate\(-?([\d.]+)%, -?([\d.]+)%\) scale\(4\)", at)
    assert found, at
    # Shown is the image's corner, as in the viewer.
    assert all(float(shift) < 15 for shift in found.groups()), at
    assert not faults, faults


@needs_chromium
def test_the_report_on_paper(chromium: Any, page_file: Path) -> None:
    """A4 without its margins: nothing is cut at the right, nothing can be scrolled, nothing is folded."""
    page = chromium.new_context(viewport={"width": 718, "height": 1040}).new_page()
    page.goto(page_file.as_uri())
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.screenshot(path=SCREENSHOTS / "report_paper.png", full_page=True)
    wide = """() => [...document.querySelectorAll("table, svg, img, p, h2")].filter((one) =>
        one.getBoundingClientRect().right > window.innerWidth + 1).map((one) => one.id || one.tagName)"""
    assert page.evaluate(wide) == []
    assert page.evaluate("[...document.querySelectorAll('details')].every((one) => one.open)")
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_tables_behind_it(page_file: Path, folder: Path) -> None:
    found = results.load(Folder(folder))
    with open(folder / report.CELLS, encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 3 * 2 * 2 * 3
    assert float(cells[1]["score_red"]) == pytest.approx(found.scores[0, 1, 1])
    with open(folder / report.MATRIX, encoding="utf-8", newline="") as file:
        matrix = list(csv.DictReader(file))
    assert len(matrix) == 3 * 3 * 3 * 4
    assert "'=judge" in {row["judged_by"] for row in matrix}
    text = (folder / report.CELLS).read_text(encoding="utf-8")
    assert " " not in text.splitlines()[0]
    assert "nan" not in text
    assert "" in {row["psnr"] for row in cells}, "what is not there is an empty cell"
    tex = (folder / paper.TABLES).read_text(encoding="utf-8")
    assert tex.count("\\toprule") == tex.count("\\end{table}") == 2
    methods = (folder / paper.METHODS).read_text(encoding="utf-8")
    assert "3 photographs (48x48 px)" in methods
    assert "12 iterations" in methods
    assert "@article{zhang2024when" in (folder / paper.REFERENCES).read_text(encoding="utf-8")
    assert paper._text("a_b&c") == "a\\_b\\&c"
    with open(folder / report.CURVES, encoding="utf-8", newline="") as file:
        assert [row["level"] for row in csv.DictReader(file)] == ["0.0003", "0.0006"] * 3
    for name in (report.CURVES, report.ATTACKS):
        assert "nan" not in (folder / name).read_text(encoding="utf-8")
    assert {"pareto.svg", "votes.pdf", "gain_over_start.pdf"} <= {one.name for one in (folder / "figures").iterdir()}
    data = json.loads((folder / report.DATA).read_text(encoding="utf-8"))
    assert [one["pairs"] for one in data["agreement"]] == [1] * 4
    assert data["skipped"] == [{"name": "bad.jpg", "reason": "broken"}]
    assert all(len(one["sha256"]) == 64 for one in data["photographs"])
    assert data["software"]["torch"]


def test_a_sheet_too_large_for_a_page_keeps_what_matters(folder: Path) -> None:
    found = results.load(Folder(folder))
    whole = report.sheet(found, Folder(folder), [])
    assert [row["condition"] for row in whole] == list(range(12))
    size = sum(len(image["src"]) for image in whole[0]["images"])
    few = report.sheet(found, Folder(folder), [7, 5], largest=int(2.5 * size))
    assert [row["condition"] for row in few] == [0, 5, 7]
    assert [row["condition"] for row in report.sheet(found, Folder(folder), [7], largest=1)] == [7]


def test_parts_of_other_results_are_left_out_and_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = results.load(Folder(folder))
    usual = folder / parts.PARTS["ranking"].place
    usual.parent.mkdir(exist_ok=True)
    parts.write("ranking", ranking(), found.method, found.prints, usual)
    assert parts.collect(found, Folder(folder))[0]["ranking"]["overall"] == ranking()["overall"]
    fewer = {name: found.prints[name] for name in ("red", "smooth")}
    parts.write("ranking", ranking(), found.method, fewer, usual)
    assert parts.collect(found, Folder(folder))[0]["ranking"] is not None, "a model that was added later dropped it"
    parts.write("ranking", ranking(), found.identity, {}, usual)
    assert parts.collect(found, Folder(folder))[0]["ranking"] is not None, "of a key of the version before"
    for method, models in (("of another", found.prints), (found.method, {"red": "x"}), (found.method, {"gone": "x"})):
        parts.write("ranking", ranking(), method, models, usual)
        assert parts.collect(found, Folder(folder))[0]["ranking"] is None
    extra, left_out = parts.collect(found, Folder(folder))
    assert extra["ranking"] is None
    assert "made of other results" in left_out[0]
    assert main(["report", str(folder)]) == 0
    assert "left out: ranking ranking.json: it was made of other results" in capsys.readouterr().out
    assert json.loads((folder / report.DATA).read_text(encoding="utf-8"))["ranking"] is None
    for name, content in {
        "other.json": usual.read_text(encoding="utf-8"),
        "mixture.json": json.dumps({"format": "dmap-mixture", "version": 2, "comparison": found.identity}),
        "old.json": json.dumps({"format": "dmap-ranking", "version": 0, "comparison": found.identity}),
        "broken.json": "{",
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert main(["report", str(folder), "--ranking", str(tmp_path / name)]) == 2
        assert name in capsys.readouterr().err
    usual.unlink()


def test_an_unfinished_comparison_says_so(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.done == 1:
            raise StopError

    with pytest.raises(StopError):
        comparison(tmp_path / "c", count=1).run(stop)
    folder = Folder(tmp_path / "c")
    report.write(results.load(folder), folder, {}, "half")
    data = json.loads((tmp_path / "c" / report.DATA).read_text(encoding="utf-8"))
    assert data["groups"][0]["conditions"] == 1
    assert data["groups"][0]["starts"] == [1, 0, 0]
    assert [model["model"] for model in data["unmatched"][0]["models"]] == ["red", "grey"]
    with pytest.raises(ValueError, match="two priors"):
        mixture.propose(results.load(folder))


def test_the_commands(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--title", "By command"]) == 0
    assert "By command" in (folder / report.PAGE).read_text(encoding="utf-8")
    assert main(["report", str(folder), "--ranking", str(tmp_path / "gone.json")]) == 2
    (tmp_path / "old.csv").write_text("model,KonIQ\nred,0.9\n", encoding="utf-8")
    assert main(["report", str(folder), "--srcc", str(tmp_path / "old.csv")]) == 2
    assert "at least 4 are needed" in capsys.readouterr().err
    assert main(["stability", str(folder), "--out", str(tmp_path / "stable")]) == 2
    assert "name two or more" in capsys.readouterr().err
    assert main(["propose-prior", str(folder), "--name", "../up"]) == 2
    assert "--name" in capsys.readouterr().err
    assert main(["propose-prior", str(folder), "--name", "mine", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "Not checked" in text
    assert priorfile.read(tmp_path / "mine.json").name == "mine"
    assert main(["report", str(folder)]) == 0
    assert json.loads((folder / report.DATA).read_text(encoding="utf-8"))["mixture"]["check"] is None
    assert main(["propose-prior", str(folder), "--floor", "0"]) == 0
    assert "No mixture: " in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0
    kept = json.loads((folder / report.DATA).read_text(encoding="utf-8"))["mixture"]
    assert kept["verdict"].startswith("No mixture"), "an earlier proposal is shown as if it were this one"
