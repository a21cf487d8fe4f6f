"""The comparison of methods, on a small picture for two iterations."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import restore
from dmap.training.data import heldout_names
from scripts.demo import SAMPLE, pixels
from toys import photograph


@pytest.mark.parametrize("title", list(restore.METHODS))
def test_every_method_runs_and_the_ascents_climb(title: str) -> None:
    models, y = restore.Models(), photograph(1, 96).float()
    method = replace(restore.METHODS[title], iterations=3, fidelity_weight=1.0)
    image, seconds = restore.restore(models, y, method)
    assert image.shape == y.shape
    assert (seconds > 0) == (method.space != "none")
    if method.space != "none":
        with torch.no_grad():
            start, _ = restore.restore(models, y, replace(method, space="none"))
            start = y if method.space == "pixels" else start
            assert float(models.prior(image)) > float(models.prior(start))


def test_colour_and_brightness_are_held() -> None:
    """The shipped prior cares little for either, and lets them drift with the paper's fidelity; ours holds them."""
    y = pixels(SAMPLE)[..., 100:228, 160:288]
    drift = {}
    for name in ("nlpd", "nlpd_colour"):
        method = restore.Method("diffusion", iterations=8, fidelity=name, fidelity_weight=25.0)
        image, _ = restore.restore(restore.Models(), y, method)
        drift[name] = float(torch.nn.functional.avg_pool2d(image - y, 32).square().mean().sqrt())
    assert drift["nlpd_colour"] < 0.006
    assert drift["nlpd_colour"] < drift["nlpd"] / 2


def test_the_interval_holds_the_mean_and_shrinks() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)) + 2
    low, high = restore.interval(values)
    assert low < float(values.mean()) < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.25)
    few_low, few_high = restore.interval(values[:20])
    assert few_high - few_low > 2 * (high - low)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    array = photograph(1, 256)[0].mul(255).byte().permute(1, 2, 0).numpy()
    for name in sorted(heldout_names())[:2]:
        Image.fromarray(array).save(tmp_path / name)
    arguments = ["restore", "--photos", str(tmp_path), "--out", str(tmp_path / "out"), "--iterations", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--size", "176"])
    monkeypatch.setattr(restore, "METHODS", {"autoencoder alone": restore.METHODS["autoencoder alone"]})
    assert restore.main() == 0
    assert "| jpeg | autoencoder alone |" in capsys.readouterr().out
    assert len((tmp_path / "out" / "restore.csv").read_text().splitlines()) == 1 + 4 * 2
