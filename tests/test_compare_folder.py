"""A comparison's folder: what is kept after a stop, what is made again, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from comparetoys import LevelPrior, PixelEngine, comparison, models, photographs, plan
from dmap import tensorfile
from dmap.compare import results, sheet
from dmap.compare import run as running
from dmap.compare.folder import VERSION, Folder, write_json
from dmap.compare.plan import METHOD
from dmap.compare.run import Comparison, Progress
from dmap.priors import priorfile

HERE = Path(__file__).parent


def contents(folder: Path) -> dict[str, bytes]:
    """All results without the times."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".safetensors":
            images, facts = Folder(folder).read_images(file.parent.name, file.stem) or ({}, {})
            facts.pop("seconds", None)
            found[file.name] = json.dumps(facts).encode() + b"".join(x.numpy().tobytes() for x in images.values())
        elif file.parent.name == "scores":
            found[file.name] = file.read_bytes()
    return found


def test_a_stopped_comparison_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.done == 4 and "iteration 3" in progress.text:
            raise StopError

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    comparison(whole).run()
    with pytest.raises(StopError):
        comparison(broken).run(stop)
    early = {file: file.stat().st_mtime_ns for file in (broken / "cells").iterdir()}
    assert len(early) == 4
    unfinished = results.load(Folder(broken))
    assert not unfinished.conditions[-1].matched
    comparison(broken).run()
    assert all(file.stat().st_mtime_ns == time for file, time in early.items())
    assert contents(broken) == contents(whole)
    assert not list(broken.rglob("*.part"))


def test_damaged_cells_are_made_again_and_a_new_training_counts_as_new(tmp_path: Path) -> None:
    options = {"count": 1, "degradations": ("none",)}
    comparison(tmp_path, **options).run()  # type: ignore[arg-type]
    before = contents(tmp_path)
    victim = next((tmp_path / "cells").iterdir())
    victim.write_bytes(victim.read_bytes()[:200])
    next((tmp_path / "scores").iterdir()).write_text("{", encoding="utf-8")
    comparison(tmp_path, **options).run()  # type: ignore[arg-type]
    assert contents(tmp_path) == before
    changed = {**models(), "red": LevelPrior("red", 0, 0.7)}
    comparison(tmp_path, named=changed, **options).run()  # type: ignore[arg-type]
    assert len(list((tmp_path / "cells").iterdir())) == 4


OTHER: dict[str, object] = {
    "tolerance": 0.2, "searches": 5, "size": 32, "fidelity": "l1", "fidelity_weight": 5.0, "iterations": 3,
    "rule": "momentum", "step_size": 0.5, "shift": 2, "seed": 1, "solver": "edict", "steps": 9, "strength": 0.9,
}  # fmt: skip


@pytest.mark.parametrize("what", [*METHOD, "photograph", "network", "training", "pack"])
def test_what_decides_a_result_is_in_its_name(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a folder would take results of other settings, pictures or weights for these."""

    def keys(folder: Path, **changed: object) -> set[str]:
        pictures, engine, named = photographs(1), PixelEngine(), models()
        if what == "photograph" and changed:  # another picture under the same name
            pictures = [replace(photographs(2)[1], name=pictures[0].name)]
        elif what == "network" and changed:
            engine.fingerprint = "other pixels"
        elif what == "pack" and changed:
            monkeypatch.setattr(running, "__version__", "0.0.0")
        elif what == "training" and changed:
            named = {name: LevelPrior(name, 0, 0.3) for name in named}
        settings = {what: OTHER[what]} if changed and what in OTHER else {}
        Comparison(plan(**settings), Folder(folder), pictures, [], named, engine)
        return set(json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["cells"])

    before = keys(tmp_path / "a")
    assert keys(tmp_path / "b") == before
    assert not before & keys(tmp_path / "c", other=True)


def test_a_kill_in_the_middle_loses_at_most_the_cell_in_work(tmp_path: Path) -> None:
    """SIGKILL leaves no time to tidy up; the killed run and the one that goes on are real processes."""
    script = (
        "import sys; from pathlib import Path; from comparetoys import comparison; comparison(Path(sys.argv[1])).run()"
    )
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    command = [sys.executable, "-c", script, str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    cells = tmp_path / "killed" / "cells"
    with subprocess.Popen(command, env=environment) as process:
        while len(list(cells.glob("[!.]*.safetensors")) if cells.is_dir() else []) < 3:
            assert process.poll() is None, "it ended before it could be killed"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    kept = {file: file.stat().st_mtime_ns for file in cells.glob("[!.]*.safetensors")}
    assert 3 <= len(kept) < 12
    going_on = comparison(tmp_path / "killed")
    assert going_on.finished == len(kept), "a half-written cell was taken for a whole one, or a whole one was lost"
    subprocess.run(command, env=environment, check=True)
    assert all(file.stat().st_mtime_ns == time for file, time in kept.items())
    comparison(tmp_path / "whole").run()
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["json", "tensors", "png", "prior"])
def test_a_fault_while_writing_leaves_the_old_file(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new comes into its place whole, by one renaming; a stop before that leaves what was there."""
    file = tmp_path / "file"
    part = ("dmap_nss", 1.0)

    def write(value: int) -> None:
        if kind == "json":
            write_json(file, {"value": value})
        elif kind == "tensors":
            tensorfile.write(file, {"value": torch.full((3,), value)}, {})
        elif kind == "png":
            sheet.save(torch.full((1, 3, 4, 4), value / 9), file)
        else:
            priorfile.write(priorfile.PriorFile(f"name {value}", "mean", (part,)), file)

    write(1)
    before = file.read_bytes()

    def stop(*_: object) -> None:
        raise OSError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        with pytest.raises(OSError, match="stopped"):
            write(2)
    assert file.read_bytes() == before
    write(2)
    assert file.read_bytes() != before


def test_cells_of_another_version_are_made_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    comparison(tmp_path, count=1, degradations=("none",)).run()
    victim = next((tmp_path / "cells").iterdir())
    images, header = tensorfile.read(victim, "cell", "")
    tensorfile.write(victim, images, {**header, "version": "99"})
    assert folder.read_images("cells", victim.stem) is None
    comparison(tmp_path, count=1, degradations=("none",)).run()
    assert folder.read_images("cells", victim.stem) is not None


def test_an_output_without_all_scores_counts_nowhere(tmp_path: Path) -> None:
    comparison(tmp_path, count=2, degradations=("none",)).run()
    found = results.load(Folder(tmp_path))
    assert len(found.select()) == 2
    cell = found.conditions[0].cells[1]
    assert cell is not None
    (tmp_path / "scores" / f"{cell.key}.json").unlink()
    assert results.load(Folder(tmp_path)).counted.tolist() == [[True, False, True], [True, True, True]]


def test_a_folder_can_be_extended(tmp_path: Path) -> None:
    comparison(tmp_path, count=1, priors=("smooth", "red")).run()
    old = {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()}
    comparison(tmp_path, count=2).run()
    assert all(file.stat().st_mtime_ns == time for file, time in old.items())
    found = results.load(Folder(tmp_path))
    assert len(found.select()) == 4


def test_a_judge_can_be_added_to_a_finished_folder(tmp_path: Path) -> None:
    climbed = {name: model for name, model in models().items() if name != "grey"}
    comparison(tmp_path, count=1, named=climbed, priors=("smooth", "red")).run()
    assert len(results.load(Folder(tmp_path)).select()) == 2
    comparison(tmp_path, count=1, priors=("smooth", "red"), judges=("grey",)).run()
    found = results.load(Folder(tmp_path))
    assert len(found.select()) == 2
    assert np.isfinite(found.gains[..., found.judges.index("grey")]).all()


def test_facts_that_are_none_are_made_again(tmp_path: Path) -> None:
    options = {"count": 1, "degradations": ("none",)}
    comparison(tmp_path, **options).run()  # type: ignore[arg-type]
    before = contents(tmp_path)
    for kind, change in (("cells", {"trials": 5}), ("cells", {"surprise": 1}), ("inputs", {"surprise": 1})):
        victim = next((tmp_path / kind).iterdir())
        images, header = tensorfile.read(victim, kind, "")
        tensorfile.write(victim, images, {**header, "facts": json.dumps({**json.loads(header["facts"]), **change})})
        results.load(Folder(tmp_path))
        comparison(tmp_path, **options).run()  # type: ignore[arg-type]
        assert contents(tmp_path) == before


def test_a_damaged_index_is_said(tmp_path: Path) -> None:
    """Whatever is missing or of the wrong kind, never a traceback."""
    comparison(tmp_path, count=1, degradations=("none",)).run()
    file = tmp_path / "comparison.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    broken = [{name: value for name, value in whole.items() if name != gone} for gone in whole]
    broken += [{**whole, name: wrong} for name in whole for wrong in (None, 5, "text", [{}]) if name != "engine"]
    broken += [{**whole, "plan": {**whole["plan"], "levels": ["far"]}}, {**whole, "cells": whole["cells"][:-1]}]
    for content in broken:
        file.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ValueError, match=r"damaged|version|not a comparison|plan"):
            results.load(Folder(tmp_path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"format": "dmap-comparison", "version": 99}, "another version"),
        ({"format": "something"}, "not a comparison"),
        ({"format": "dmap-comparison", "version": VERSION, "plan": {}}, r"damaged|missing"),
    ],
)
def test_foreign_folders_are_refused(tmp_path: Path, content: dict[str, object], words: str) -> None:
    (tmp_path / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        results.load(Folder(tmp_path))


def test_folders_with_other_things_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="not empty"):
        comparison(tmp_path)
    with pytest.raises(ValueError, match="run 'python -m dmap compare'"):
        results.load(Folder(tmp_path))
    (tmp_path / "comparison.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be read"):
        results.load(Folder(tmp_path))
