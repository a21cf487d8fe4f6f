"""Maps to the common scale: fitted to scores by a command, with their source, and stronger than any hand-set range."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmap.cli import main
from dmap.compare import calibration, results, specs
from dmap.compare.inputs import Photograph
from dmap.priors import WeightStore, catalogue, load_prior, maps
from dmap.priors.logistic import LogisticMap
from toys import photograph


def test_quantiles_are_matched() -> None:
    share = (np.arange(2000) + 0.5) / 2000
    raw = 7 + np.log(share / (1 - share)) / 0.5
    found = LogisticMap.from_scores(raw.tolist(), higher_better=True)
    assert (found.midpoint, found.slope) == pytest.approx((7, 0.5), rel=0.02)
    lower = LogisticMap.from_scores((-raw).tolist(), higher_better=False)
    assert (lower.midpoint, lower.slope) == pytest.approx((-found.midpoint, -found.slope))
    mapped = found(torch.from_numpy(raw)).numpy()
    assert np.quantile(mapped, [0.2, 0.5, 0.8]) == pytest.approx([20, 50, 80], abs=1)
    skewed = LogisticMap.from_scores(np.random.default_rng(0).exponential(size=500).tolist(), higher_better=True)
    assert 0 < skewed.midpoint < 1.5
    for scores in ([1.0] * 50, [1.0, 2.0], [float("nan")] * 50):
        with pytest.raises(ValueError, match=r"hardly differ|at least 20"):
            LogisticMap.from_scores(scores, higher_better=True)


def test_the_images_are_the_same_for_a_seed() -> None:
    one = Photograph("one.png", "ab" * 32, photograph(1, 64, 1).float())
    first, again, other = (list(calibration.versions(one, seed)) for seed in (0, 0, 1))
    assert len(first) == calibration.VERSIONS
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(first, again, strict=True))
    assert any(not torch.equal(mine, theirs) for mine, theirs in zip(first, other, strict=True))
    assert len({image.numpy().tobytes() for image in first}) == calibration.VERSIONS


def test_the_command_fits_and_keeps_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, file = tmp_path / "photos", tmp_path / maps.NAME
    photos.mkdir()
    for number in range(2):
        array = photograph(1, 80, number)[0].mul(255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(photos / f"{number}.png")
    command = ["fit-maps", "--photos", str(photos), "--out", str(file), "--size", "64"]
    assert main([*command, "--priors", "dmap_nss"]) == 0
    first = maps.read(file)["dmap_nss"]
    assert main([*command, "--priors", "pyiqa:piqe", "dmap_judge"]) == 0
    found = maps.read(file)
    assert found["dmap_nss"] == first
    assert found["pyiqa:piqe"].slope < 0 < found["dmap_judge"].slope
    assert first.scores == 2 * calibration.VERSIONS
    assert "2 photographs" in first.source
    assert "seed 0" in first.source
    assert first.weights == specs.weights_print(load_prior("dmap_nss"))
    assert "slope" in capsys.readouterr().out
    assert load_prior("pyiqa:piqe", WeightStore((tmp_path,))).score_map == found["pyiqa:piqe"].logistic
    own = load_prior("dmap_nss")
    assert load_prior("dmap_nss", WeightStore((tmp_path,))).score_map == own.score_map, (
        "graphs keep the pack's own scale"
    )
    assert main([*command, "--priors", "dmap_nss", "--count", "1"]) == 2
    for text in ("{", "[]", json.dumps({"format": maps.FORMAT, "version": 1, "maps": {"a": {"midpoint": 1}}})):
        file.write_text(text, encoding="utf-8")
        assert main([*command, "--priors", "dmap_nss"]) == 2
        assert "maps" in capsys.readouterr().err


def test_the_pack_carries_maps_with_their_source() -> None:
    shipped = maps.shipped()
    assert {"pyiqa:niqe", "pyiqa:brisque", "pyiqa:piqe", "dmap_nss", "dmap_judge"} <= set(shipped)
    for name, one in shipped.items():
        assert one.scores == 24 * calibration.VERSIONS, name
        assert "24 photographs (" in one.source, name
    assert catalogue.score_map(catalogue.METRICS["niqe"]) == shipped["pyiqa:niqe"].logistic
    assert shipped["dmap_nss"].weights == specs.weights_print(load_prior("dmap_nss")), "fitted to other weights"


def test_a_hand_set_range_changes_no_point() -> None:
    """NIQE on 2 to 12 and on 2 to 20: the same points after the fitted map."""
    raw = torch.linspace(2, 25, 40, dtype=torch.float64)
    fitted = maps.shipped()["pyiqa:niqe"]
    points = []
    for high in (12.0, 20.0):
        own = LogisticMap.from_range(2, high, higher_better=False)
        points.append(results._rescaled(own(raw).numpy(), [own.midpoint, own.slope], fitted))
    assert points[0] == pytest.approx(points[1], abs=1e-6)
    assert points[0] == pytest.approx(fitted.logistic(raw).numpy(), abs=1e-6)
    assert results._rescaled(np.array([fitted.midpoint]), None, fitted) == pytest.approx([50])
