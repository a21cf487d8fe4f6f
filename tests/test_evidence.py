"""The evidence: methods, statistics and the command, on small pictures for few iterations."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from dmap.batch import Serial
from tools.benchmarks.evidence import __main__ as command
from tools.benchmarks.evidence import methods, run, tables
from tools.benchmarks.evidence.cells import DEGRADATIONS, Cells, make, split
from tools.benchmarks.evidence.curves import mean_points
from tools.benchmarks.evidence.store import Store, Workshop
from tools.demo import SAMPLE, pixels
from tools.training.data import heldout_names
from toys import photograph

SHORT = methods.Budget(iterations=3, fidelity_weight=1.0, target=200.0)


@pytest.fixture(scope="module")
def tools() -> methods.Tools:
    return methods.Tools()


@pytest.mark.parametrize("title", list(methods.METHODS))
def test_every_method_runs_and_the_ascents_climb(tools: methods.Tools, title: str) -> None:
    y, method = pixels(SAMPLE)[..., 100:196, 160:256], methods.METHODS[title]
    method = replace(method, steps=min(method.steps, 4))
    done = methods.restore(tools, y, method, SHORT)
    assert done.image.shape == y.shape
    assert 0 <= float(done.image.min()) <= float(done.image.max()) <= 1
    assert method.ascends == (done.seconds > 0) == (title.startswith("MAP"))
    if method.ascends:
        ascent = methods.start_ascent(tools, y, method, SHORT)
        ascent.run()
        assert float(done.objective) > ascent.trace.rows[0].objective[0]


def test_a_batch_is_restored_as_its_images_alone(tools: methods.Tools) -> None:
    y = torch.cat([photograph(1, 96, seed).float() for seed in (0, 1)])
    method = methods.METHODS[methods.DEFAULTS]
    together = methods.restore(tools, y, method, SHORT).image
    alone = methods.restore(tools, y[1:], method, SHORT).image
    assert float((together[1:] - alone).abs().max()) < 1e-3


def test_colour_and_brightness_are_held(tools: methods.Tools) -> None:
    """The fidelity in use holds what quality models care little for."""
    y = pixels(SAMPLE)[..., 100:228, 160:288]
    done = methods.restore(tools, y, methods.METHODS[methods.DEFAULTS], methods.Budget(iterations=8))
    drift = torch.nn.functional.avg_pool2d(done.image - y, 32).square().mean().sqrt()
    assert float(drift) < 0.006


def test_cells_are_dealt_out_evenly_and_tuning_is_apart(tmp_path: Path) -> None:
    for name in sorted(heldout_names())[:5]:
        Image.new("RGB", (64, 48), (90, 120, 60)).save(tmp_path / name)
    tuning, reporting = split(tmp_path, tuning=True), split(tmp_path, tuning=False)
    assert not set(tuning) & set(reporting)
    assert len(tuning) + len(reporting) == 5
    dealt = [name for index in range(4) for name in make(tuning[0], index, 3, 32).degradations]
    assert sorted(dealt) == sorted(DEGRADATIONS)


def test_every_degradation_changes_the_picture_and_the_stronger_one_more() -> None:
    x = pixels(SAMPLE)[..., 100:228, 160:288]
    generator = torch.Generator().manual_seed(0)
    errors = {name: float((degrade(x, generator) - x).square().mean()) for name, degrade in DEGRADATIONS.items()}
    for weak, strong in zip(list(DEGRADATIONS)[:6], list(DEGRADATIONS)[6:], strict=True):
        assert 0 < errors[weak] < errors[strong], (weak, strong)


def test_the_interval_is_over_photographs() -> None:
    """Cells of one photograph say the same: twice as many of them leave the interval as it is."""
    values = torch.randn(40, generator=torch.Generator().manual_seed(0)) + 2
    alone = {str(index): [float(value)] for index, value in enumerate(values)}
    low, high = tables.interval(alone)
    assert low < float(values.mean()) < high
    assert high - low == pytest.approx(2 * 2.02 / 40**0.5 * float(values.std()), rel=0.15)
    assert tables.interval({name: value * 2 for name, value in alone.items()}) == (low, high)
    assert all(map(math.isnan, tables.interval({"one": [1.0, 2.0, 3.0, 4.0]})))


def _rows() -> list[tables.Row]:
    """Two methods on ten photographs: b is 0.1 better in ssim and 2 worse in niqe."""
    return [
        {
            "photo": f"{photo}",
            "degradation": "noise 10",
            "method": name,
            "ssim": 0.5 + 0.01 * photo + up,
            "niqe": 5 + down,
        }
        for photo in range(10)
        for name, up, down in (("a", 0.0, 0.0), ("b", 0.1, 2.0))
    ]


def test_differences_are_paired_and_marked_by_direction() -> None:
    text = tables.differences(_rows(), "a")
    assert "| noise | b | +0.100 (+0.100 to +0.100) **+** | +2.00 (+2.00 to +2.00) **-** |" in text
    assert [value for (value,) in tables.pairs(_rows(), "b", "a", "ssim").values()] == pytest.approx([0.1] * 10)


def test_comparison_at_equal_score_interpolates() -> None:
    rows: list[tables.Row] = [
        {"photo": "p", "degradation": "d", "method": name, "weight": weight, "prior": prior, "ssim": ssim}
        for name, points in {"a": [(10, 0.5), (30, 0.9)], "b": [(10, 0.5), (20, 0.4)]}.items()
        for weight, (prior, ssim) in enumerate(points)
    ]
    text = tables.at_equal_score(rows, "a", "b")  # at score 20: a has 0.7, b 0.4
    assert "+0.300" in text
    assert "1 of 1" in text
    swapped = tables.at_equal_score(rows, "b", "a", 1.0)  # at b's score of weight 1, which is 20
    assert "-0.300" in swapped
    assert "no cell" in tables.at_equal_score(rows, "a", "b", 1.0)  # b does not reach 30
    assert mean_points(rows, "ssim") == {"a": [(10, 0.5), (30, 0.9)], "b": [(10, 0.5), (20, 0.4)]}


def test_the_command_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, name in enumerate(sorted(heldout_names())[:4]):
        array = photograph(1, 256, index)[0].mul(255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(tmp_path / name)
    few = {name: replace(methods.METHODS[name]) for name in (*run.REFERENCES, *run.CURVES)}
    monkeypatch.setattr(methods, "METHODS", few)
    monkeypatch.setattr(run, "METHODS", few)
    monkeypatch.setattr(run, "WEIGHTS", (1.0,))
    monkeypatch.setattr(run, "SHEET", ("noise 25",))
    out = tmp_path / "out"
    arguments = ["--photos", str(tmp_path), "--out", str(out), "--size", "176", "--iterations", "1"]
    arguments += ["--priors", "dmap_quality", "--each", "1"]
    assert command.main(arguments) == 0
    text = (out / "evidence.md").read_text()
    assert "| blur | MAP in diffusion, nodes' defaults |" in text
    assert all((out / name).stat().st_size > 0 for name in ("evidence.csv", "curves.csv", "curves.png", "sheet.jpg"))
    kept = next((out / "cells" / "dmap_quality").glob("*.json"))
    before = kept.stat().st_mtime_ns
    assert command.main(arguments) == 0
    assert kept.stat().st_mtime_ns == before


def test_work_goes_on_after_a_failure_and_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in sorted(heldout_names())[:8]:
        Image.new("RGB", (192, 192), (90, 120, 60)).save(tmp_path / name)
    options = command.parse(["--photos", str(tmp_path), "--out", str(tmp_path / "out"), "--priors", "dmap_quality"])
    done: list[str] = []

    def judged(_: Workshop, prior: str, cells: Cells, *__: object) -> list[tables.Row]:
        done.append(cells.photo)
        if len(done) == 2:
            raise ArithmeticError("broken")
        return [{"photo": cells.photo}]

    monkeypatch.setattr(Workshop, "judged", judged)
    monkeypatch.setattr(run, "METHODS", {name: methods.METHODS[name] for name in (*run.CURVES, *run.REFERENCES)})
    units = run.EvidenceRecipe(options, SHORT).units()
    with pytest.raises(ArithmeticError, match="broken"):
        run.fill(options, SHORT, Serial())
    left = [unit for unit in units if unit not in Store(options.out)]
    assert len(left) == 1
    done[:] = [""] * 2
    run.fill(options, SHORT, Serial())
    assert all(unit in Store(options.out) for unit in units)
    done[:] = [""] * 2
    run.fill(options, SHORT, Serial())
    assert done == [""] * 2


def test_a_folder_without_photographs_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert command.main(["--photos", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 2
    assert "photos" in capsys.readouterr().err
