"""The report in a real browser at desktop and phone size, and a mixture out of a comparison."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import SCREENSHOTS, chromium, needs_chromium, watch

from comparetoys import LevelPrior, PixelEngine, comparison, models, photographs, plan
from dmap.cli import main
from dmap.compare import mixture, parts, report, results, specs, statistics
from dmap.compare.folder import Folder
from dmap.compare.inputs import Skipped
from dmap.compare.run import Comparison
from dmap.priors import WeightStore, load_prior, priorfile
from toys import photograph

__all__ = ["chromium"]
NASTY = "</script><img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison with names that try to be markup, votes and a mixture."""
    path = tmp_path_factory.mktemp("comparison") / "toys"
    named = [replace(one, name=NASTY if number == 0 else one.name) for number, one in enumerate(photographs(3))]
    toys = {**models(), "=judge": LevelPrior("blue", 2, 0.6)}
    planned = plan(levels=(3e-4, 6e-4), judges=("=judge",))
    Comparison(planned, Folder(path), named, [Skipped("bad.jpg", "broken")], toys, PixelEngine()).run()
    return path


def ranking() -> dict[str, Any]:
    one = {
        "models": ["red", "smooth", "grey"], "strengths": [1.0, 0.1, -1.1], "low": [0.6, -0.3, -1.6],
        "high": [1.5, 0.5, -0.8], "votes": [10, 12, 11], "connected": True,
    }  # fmt: skip
    observers = [{"name": "o1", "votes": 33, "catches": [4, 4], "repeats": [2, 3], "left": 0.5}]
    return {
        "overall": one, "degradations": {"noise": one}, "agreement": None, "resampled": "votes", "strategy": "random",
        "observers": observers, "problems": [{"file": "<b>x</b>.json", "text": "it is empty", "used": False}],
    }  # fmt: skip


def simulated() -> dict[str, Any]:
    rows = [
        {"strategy": strategy, "follows": 0.5, "votes": votes, "right": right, "first": right}
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
    }
    return {"proposal": proposal, "verdict": "No: it does not.", "check": check}


@pytest.fixture(scope="module")
def page_file(folder: Path) -> Path:
    extra = {"ranking": ranking(), "simulation": simulated(), "mixture": mixed()}
    return report.write(results.load(Folder(folder)), Folder(folder), extra, f"Toys {NASTY}")


@needs_chromium
@pytest.mark.parametrize(("name", "width", "height"), [("desktop", 1280, 900), ("phone", 390, 800)])
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
    assert page.locator("svg").count() == 4

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


def test_the_tables_behind_it(page_file: Path, folder: Path) -> None:
    found = results.load(Folder(folder))
    with open(folder / report.CELLS, encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 3 * 2 * 2 * 3
    assert float(cells[1]["score red"]) == pytest.approx(found.scores[0, 1, 1])
    with open(folder / report.MATRIX, encoding="utf-8", newline="") as file:
        matrix = list(csv.DictReader(file))
    assert len(matrix) == 3 * 3 * 3 * 4
    assert "'=judge" in {row["judged by"] for row in matrix}
    data = json.loads((folder / report.DATA).read_text(encoding="utf-8"))
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
    parts.write("ranking", ranking(), found.identity, usual)
    assert parts.collect(found, Folder(folder))[0]["ranking"]["overall"] == ranking()["overall"]
    parts.write("ranking", ranking(), "of another comparison", usual)
    extra, left_out = parts.collect(found, Folder(folder))
    assert extra["ranking"] is None
    assert "made of other results" in left_out[0]
    assert main(["report", str(folder)]) == 0
    assert "left out: ranking ranking.json: it was made of other results" in capsys.readouterr().out
    assert json.loads((folder / report.DATA).read_text(encoding="utf-8"))["ranking"] is None
    for name, content in {
        "other.json": usual.read_text(encoding="utf-8"),
        "mixture.json": json.dumps({"format": "dmap-mixture", "version": 1, "comparison": found.identity}),
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
    assert data["groups"][0]["conditions"] == 0
    assert [model["model"] for model in data["unmatched"][0]["models"]] == ["red", "grey"]
    with pytest.raises(ValueError, match="two priors"):
        mixture.propose(results.load(folder))


def test_the_weights_keep_the_floors_and_are_the_best_that_do(folder: Path) -> None:
    found = results.load(Folder(folder))
    proposal = mixture.propose(found, 0.3)
    weights = np.array([dict(proposal.parts).get(name, 0.0) for name in found.names])
    assert weights.sum() == pytest.approx(1)
    gains = found.gains[found.select()].mean(axis=0)
    largest = np.maximum(gains.max(axis=0), 0)
    foreign = statistics.standing(found, found.select()).others[0]
    assert (weights @ gains >= proposal.floor * largest - 0.05).all()
    assert proposal.floor <= 0.3
    draws = np.random.default_rng(0).dirichlet(np.ones(3), 5000)
    allowed = draws[(draws @ gains >= proposal.floor * largest).all(axis=1)]
    assert len(allowed) == 0 or (allowed @ foreign).max() <= proposal.expected + 0.05
    with pytest.raises(ValueError, match="floor"):
        mixture.propose(found, 1.5)


def test_judges_that_no_model_pleases_do_not_stop_a_proposal(folder: Path) -> None:
    found = results.load(Folder(folder))
    usual = mixture.propose(found, 0.3)
    assert usual.displeased == []
    lowered = found.scores.copy()
    lowered[..., 3] = found.start[:, None, 3] - 5.0
    proposal = mixture.propose(replace(found, scores=lowered), 0.3)
    assert proposal.displeased == ["=judge"]
    assert proposal.gains["=judge"] == pytest.approx(-5)
    assert proposal.floor == pytest.approx(usual.floor, abs=1e-6)
    nobody = mixture.propose(replace(found, scores=found.start[:, None, :] - 1.0 - np.zeros_like(found.scores)), 0.3)
    assert nobody.displeased == found.judges
    assert nobody.expected == pytest.approx(-1)


def test_a_check_tells_yes_from_no(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = results.load(Folder(folder))
    same = mixture.check(found, "red", ["smooth"])
    assert same["verdict"].startswith("Nothing is shown"), "three photographs are too few"
    assert same["names"] == list(dict.fromkeys(one.input.photograph for one in found.conditions))
    # The judge that is neither the mixture nor one of its parts, and the one that only judges.
    assert same["judges"] == ["grey", "=judge"]
    blue = found.gains[found.select(), 1, 3]
    assert same["rows"][0]["judged"]["mean"][1] == pytest.approx(blue.mean())
    assert same["rows"][0]["gain"] == pytest.approx(np.mean(same["rows"][0]["judged"]["mean"]))
    monkeypatch.setattr(mixture, "ENOUGH", 3)
    noisy = [one.input.degradation == "noise" for one in found.conditions]
    psnr = (found.measures["psnr"][:, 1] - found.start_measures["psnr"])[noisy].mean()
    assert same["rows"][0]["measures"]["psnr"] == pytest.approx(psnr)
    better = replace(found, scores=found.scores + np.array([0, 30.0, 0])[None, :, None])
    assert mixture.check(better, "red", ["smooth", "grey"])["verdict"].startswith("Yes")
    worse = replace(found, scores=found.scores - np.array([0, 30.0, 0])[None, :, None])
    verdict = mixture.check(worse, "red", ["smooth", "grey"])["verdict"]
    assert verdict.startswith("No")
    assert "worse than smooth, grey" in verdict
    last = np.array([one.input.photograph == found.conditions[-1].input.photograph for one in found.conditions])
    change = np.where(last, -40.0, 30.0)[:, None, None] * np.array([0, 1.0, 0])[None, :, None]
    unsure = mixture.check(replace(found, scores=found.scores + change), "red", ["smooth", "grey"])
    assert all(row["difference"] > 0 > row["low"] for row in unsure["rows"][1:])
    assert unsure["verdict"].startswith("No")
    assert "nothing is shown either way" in unsure["verdict"]
    shared = [{"smooth"}, {"smooth", "grey"}, {"grey"}]
    alone = replace(
        found, judges=found.judges[:3], parts=shared, scores=found.scores[..., :3], start=found.start[:, :3]
    )
    assert "outside of the mixture" in mixture.check(alone, "red", ["smooth", "grey"])["judging"]


def test_intervals_of_few_photographs_are_wide_enough() -> None:
    """By hand for three, and by simulation: about 95 % of the intervals hold the true mean, for few photographs too."""
    low, high = mixture.interval(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == (pytest.approx(2 - 4.303 / 3**0.5, abs=1e-3), pytest.approx(2 + 4.303 / 3**0.5, abs=1e-3))
    assert mixture.interval(np.array([1.0])) == (None, None)
    random = np.random.default_rng(0)
    found = [mixture.interval(random.standard_normal(4)) for _ in range(1000)]
    assert 0.93 < np.mean([low < 0 < high for low, high in found if low is not None and high is not None]) < 0.97


def test_the_mixture_that_is_checked_is_the_one_that_is_written(tmp_path: Path) -> None:
    parted = [("dmap_nss", 0.6543), ("dmap_spectrum", 0.3457)]
    proposal = mixture.Proposal(parted, 0.25, 1.0, {}, [])
    mixture.write_prior(proposal, "mine", tmp_path / "mine.json")
    image = photograph(1, 96).float()
    with torch.no_grad():
        written = load_prior("file:mine.json", WeightStore((tmp_path,)))(image)
        checked = specs.build(mixture.spec(proposal))(image)
    assert torch.equal(written, checked)


def test_the_commands(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--title", "By command"]) == 0
    assert "By command" in (folder / report.PAGE).read_text(encoding="utf-8")
    assert main(["report", str(folder), "--ranking", str(tmp_path / "gone.json")]) == 2
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
