"""``python -m dmap reproduce`` on the shipped models: every section, what is missing, and that it goes on."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from browser import SCREENSHOTS, chromium, needs_chromium, watch
from PIL import Image

from dmap.cli import main
from dmap.compare import experiments, reproduction, specs
from dmap.priors import WeightStore
from toys import photograph

__all__ = ["chromium"]
PRIORS = ["dmap_nss", "dmap_spectrum"]


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for seed in range(count):
        array = photograph(1, 104, seed)[0].mul(255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(folder / f"{seed}.png")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All experiments of two photographs, and one enhancer's outputs."""
    base = tmp_path_factory.mktemp("reproduce")
    pictures(base / "photos", 2)
    pictures(base / "enhanced" / "sharp<er>", 2)
    command = ["--photos", str(base / "photos"), "--enhanced", str(base / "enhanced"), "--out", str(base / "out")]
    assert main(["reproduce", *command, "--scale", "quick", "--priors", *PRIORS, "--judges", "dmap_judge"]) == 0
    shutil.copytree(base / "out", base / "again")  # for tests that go on with it
    return base


def test_every_experiment_has_its_section(made: Path) -> None:
    data = json.loads((made / "out" / reproduction.DATA).read_text(encoding="utf-8"))
    names = [one["name"] for one in data["sections"]]
    assert names == ["fixed", "equal", "study", "pixels", "mixtures", "post_enhancement/sharp<er>"]
    for one in data["sections"]:
        assert not one["failed"], one
        assert one["sentences"]
        assert not one["sentences"][0].startswith("No start"), "nothing was compared"
        assert (made / "out" / one["report"]).is_file()
    tables = {table["name"]: table for one in data["sections"] for table in one["tables"]}
    spaces = tables["pixels_and_latents"]["rows"]
    assert [row[1] for row in spaces] == ["pixels"] * 2 + ["diffusion latents"] * 2
    assert all(row[3] for row in spaces), "no judge on pixels: starts differ, but the judges may not"
    assert [row[0] for row in tables["mixture_2"]["rows"]][1:] == ["multiscale(dmap_quality)", *PRIORS]
    plan = json.loads((made / "out" / "fixed" / "comparison.json").read_text(encoding="utf-8"))["plan"]
    assert (plan["fixed_weight"], plan["target_score"]) == (1.0, 90.0)
    plan = json.loads((made / "out" / "pixels" / "comparison.json").read_text(encoding="utf-8"))["plan"]
    assert plan["space"] == "pixels"
    methods = (made / "out" / "fixed" / "methods.txt").read_text(encoding="utf-8")
    assert "for 3 iterations at most, until its own score was 90" in methods
    assert "The prior weight was 1 for every model and start" in methods
    methods = (made / "out" / "pixels" / "methods.txt").read_text(encoding="utf-8")
    assert "climbed in pixels for 3 iterations (adam" in methods
    assert "inverted" not in methods
    text = (made / "out" / reproduction.PAGE).read_text(encoding="utf-8")
    assert "sharp&lt;er&gt;" in text
    assert "sharp<er>" not in text


def test_tables_and_figures_are_files_too(made: Path) -> None:
    files = {file.name for file in (made / "out" / "figures").iterdir()}
    assert {"pixels_pixels_and_latents.svg", "pixels_pixels_and_latents.pdf", "equal_gain_over_start.svg"} <= files
    for file in (made / "out" / "tables").iterdir():
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(opened))
        assert len(rows) > 1
        assert not any(" " in name for name in rows[0])
        assert "nan" not in file.read_text(encoding="utf-8").lower()


def test_the_same_command_makes_nothing_twice(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = made / "again"
    cells = {file: file.stat().st_mtime_ns for file in out.glob("**/cells/*.safetensors")}
    key = (out / "equal" / "study" / "study_key.json").stat().st_mtime_ns
    command = ["--photos", str(made / "photos"), "--out", str(out), "--scale", "quick", "--only", "equal", "pixels"]
    assert main(["reproduce", *command, "--priors", *PRIORS, "--judges", "dmap_judge"]) == 0
    assert {file: file.stat().st_mtime_ns for file in out.glob("**/cells/*.safetensors")} == cells
    assert (out / "equal" / "study" / "study_key.json").stat().st_mtime_ns == key, "votes of the study would be lost"
    said = capsys.readouterr().out
    assert "4 of 4 results are there already" in said
    assert "post-enhancement of other enhancers' outputs is left out" in said
    data = json.loads((out / reproduction.DATA).read_text(encoding="utf-8"))
    assert [one["name"] for one in data["sections"]] == ["equal", "study", "pixels"]


def test_weights_that_are_absent_are_named_with_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dmap.priors.weights.caches", lambda: [])
    monkeypatch.setattr("dmap.priors.pyiqa_adapter.installed", lambda: True)
    found = experiments.choose((), (), WeightStore())
    assert found.climbed == ("dmap_quality", "dmap_guide", "dmap_policy", "dmap_nss", "dmap_spectrum")
    assert {one.model for one in found.missing} == {*experiments.EIGHT, "pyiqa:clipiqa"}
    assert all(one.source.startswith("https://") and one.file for one in found.missing)
    assert found.mixed == experiments.OWN_MIXED
    (tmp_path / "musiq_koniq_ckpt-e95806b9.pth").write_bytes(b"")
    (tmp_path / "HyperIQA-resnet50-koniq10k-c96c41b1.pth").write_bytes(b"")
    some = experiments.choose((), (), WeightStore((tmp_path,)))
    assert some.climbed == ("pyiqa:hyperiqa", "pyiqa:musiq")
    assert "pyiqa:musiq" not in {one.model for one in some.missing}
    pictures(tmp_path / "photos", 1)
    command = ["reproduce", "--photos", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    assert main([*command, "--priors", "pyiqa:unique", "dmap_nss"]) == 2
    assert "pyiqa:unique needs UNIQUE.pt from https://" in capsys.readouterr().err


def test_one_experiment_that_fails_does_not_stop_the_others(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    command = ["--photos", str(made / "photos"), "--enhanced", str(tmp_path / "empty"), "--out", str(made / "again")]
    options = ["--scale", "quick", "--priors", *PRIORS, "--judges", "dmap_judge"]
    assert main(["reproduce", *command, *options, "--only", "fixed", "post_enhancement"]) == 1
    data = json.loads((made / "again" / reproduction.DATA).read_text(encoding="utf-8"))
    assert [bool(one["failed"]) for one in data["sections"]] == [False, True]
    assert "no photograph in" in capsys.readouterr().out


def test_parts_of_compositions() -> None:
    assert specs.parts_of("mean(0.7 multiscale(a), softmin(b, c))") == ["a", "b", "c"]
    assert specs.parts_of("mean(0.7 multiscale(a), b)", once=True) == ["multiscale(a)", "b"]
    assert specs.parts_of("a") == ["a"]


@needs_chromium
@pytest.mark.parametrize(
    ("name", "width", "height"), [("desktop", 1280, 900), ("tablet", 820, 1100), ("phone", 390, 800)]
)
def test_its_report_in_a_browser(made: Path, chromium: object, name: str, width: int, height: int) -> None:
    page = chromium.new_context(viewport={"width": width, "height": height}).new_page()  # type: ignore[attr-defined]
    faults = watch(page)
    page.goto((made / "out" / reproduction.PAGE).as_uri())
    page.screenshot(path=SCREENSHOTS / f"reproduction_{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("figure svg").count() >= 5
    assert re.search("MAP|paper", page.locator("main").inner_text())
    data = json.loads((made / "out" / "mixtures" / "report.json").read_text(encoding="utf-8"))
    page.goto((made / "out" / "mixtures" / "report.html").as_uri())
    for kind in ("failures", "attacks"):
        assert page.locator(f"#{kind} .card").count() == len(data[kind]) > 0
        assert page.locator(f"#{kind} .card img").count() == 2 * len(data[kind])
    assert not faults, faults
