"""``python -m dmap compare`` on the shipped models, and on one of the catalogue."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_compare_folder import contents
from weighttoys import CNNIQA, cnniqa_weights, pin

from dmap.batch import Report
from dmap.cli import main
from dmap.compare import results
from dmap.compare.folder import Folder
from dmap.compare.work import Cells, CellTask
from toys import photograph


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    array = photograph(1, 128)[0].mul(255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(photos / "one.png")
    (photos / "broken.jpg").write_bytes(b"no picture")
    options = ["--size", "96", "--iterations", "2", "--steps", "1", "--searches", "1", "--levels", "0.02"]
    options += ["--tolerance", "0.9"]  # an output that misses the level has no gain
    command = ["compare", "--photos", str(photos), "--out", str(out), *options]
    assert main([*command, "--priors", "dmap_quality"]) == 2
    assert "at least two" in capsys.readouterr().err
    assert main([*command, "--priors", "dmap_nss", "dmap_judge"]) == 2
    assert "dmap_judge only judges" in capsys.readouterr().err
    assert main([*command, "--priors", "dmap_nss", "dmap_spectrum", "--judges", "dmap_judge"]) == 0
    assert "skipped broken.jpg" in capsys.readouterr().out
    index = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in index["skipped"]] == ["broken.jpg"]
    assert len(index["photographs"][0]["sha256"]) == 64
    assert len(list((out / "cells").iterdir())) == 2
    assert np.isfinite(results.load(Folder(out)).gains[..., 2]).all()
    assert main([*command, "--priors", "dmap_nss", "dmap_spectrum"]) == 0
    assert "2 of 2 results are there already" in capsys.readouterr().out


def test_processes_make_the_same_cells_as_one_and_go_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images, scores and searches are equal, half of them made by another run."""
    photos, alone, shared = (tmp_path / name for name in ("photos", "alone", "shared"))
    photos.mkdir()
    for seed in range(2):
        array = photograph(1, 64, seed)[0].mul(255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(photos / f"{seed}.png")
    options = ["--size", "64", "--iterations", "1", "--steps", "1", "--searches", "2", "--shift", "0", "--threads", "1"]
    options += ["--degradations", "none", "noise", "--priors", "dmap_nss", "dmap_spectrum"]
    assert main(["compare", "--photos", str(photos), "--out", str(alone), *options]) == 0
    asked: list[int] = []
    optimise = Cells._optimise

    def stopped(work: Cells, task: CellTask, report: Report) -> None:
        asked.append(1)
        if len(asked) > 3:
            raise KeyboardInterrupt
        optimise(work, task, report)

    monkeypatch.setattr(Cells, "_optimise", stopped)
    assert main(["compare", "--photos", str(photos), "--out", str(shared), *options]) == 130
    assert len(list((shared / "cells").iterdir())) == 3
    monkeypatch.undo()
    assert main(["compare", "--photos", str(photos), "--out", str(shared), *options, "--jobs", "2"]) == 0
    assert contents(shared) == contents(alone)
    assert len(list((shared / "cells").iterdir())) == 8


def test_a_model_of_the_catalogue_with_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Climbed and judging like any other, from a file in a folder that is named; the weights are random here."""
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    photos, weights, out = (tmp_path / name for name in ("photos", "weights", "out"))
    photos.mkdir()
    weights.mkdir()
    torch.save(cnniqa_weights(), weights / CNNIQA)
    pin(weights / CNNIQA, monkeypatch)
    array = photograph(1, 96)[0].mul(255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(photos / "one.png")
    options = ["--size", "96", "--iterations", "1", "--steps", "1", "--searches", "1", "--tolerance", "0.9"]
    command = ["compare", "--photos", str(photos), "--out", str(out), *options, "--priors", "dmap_nss", "pyiqa:cnniqa"]
    assert main([*command, "--weights", str(weights)]) == 0
    found = results.load(Folder(out))
    assert np.isfinite(found.gains).all()
    assert found.index["models"][1]["source"]


def test_four_shipped_priors_without_a_download_or_pyiqa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the comparison asked the network for something")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setitem(sys.modules, "pyiqa", None)  # as if it were not installed
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    array = photograph(1, 96)[0].mul(255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(photos / "one.png")
    priors = ["dmap_quality", "dmap_nss", "dmap_spectrum", "robust(dmap_quality)"]
    options = ["--size", "96", "--iterations", "1", "--steps", "1", "--searches", "1", "--tolerance", "0.9"]
    assert main(["compare", "--photos", str(photos), "--out", str(out), *options, "--priors", *priors]) == 0
    found = results.load(Folder(out))
    assert found.names == priors
    assert np.isfinite(found.gains).all()
    kin = {(found.names[row], found.judges[column]) for row, column in np.argwhere(found.related)}
    # By its weights; the gradients of the two statistics agree on this one picture as well.
    statistics = {(priors[1], priors[2]), (priors[2], priors[1])}
    assert kin - {(name, name) for name in priors} - statistics == {(priors[0], priors[3]), (priors[3], priors[0])}
