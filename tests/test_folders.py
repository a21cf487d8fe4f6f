"""A folder of photographs: serial, in processes and on Ray alike, whatever is broken, killed or stopped on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dmap.batch import Executor, Journal, Processes, RayActors, Serial, Shard, journal
from dmap.cli import main
from dmap.folders import find
from dmap.image.files import read_photograph
from dmap.restoration import restore
from toys import photograph

QUICK = ["--steps", "1", "--iterations", "1", "--fidelity-weight", "5", "--shift", "0"]
QUICK += ["--prior", "dmap_nss", "--clean", "off"]
SIDE, PHOTOGRAPHS, BROKEN = 64, 60, 5  # the smallest that the prior takes


def picture(file: Path, seed: int, side: int = SIDE) -> None:
    array = photograph(1, side, seed)[0].mul(255).byte().permute(1, 2, 0).numpy()
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(file)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 photographs in a tree, five of them broken in five ways, and things that are no photographs."""
    folder = tmp_path_factory.mktemp("photographs") / "album"
    for index in range(PHOTOGRAPHS - BROKEN):
        picture(folder / f"year {index % 3}" / f"photo {index:02}.png", index)
    whole = (folder / "year 0" / "photo 00.png").read_bytes()
    (folder / "year 1" / "broken cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "broken empty.jpg").write_bytes(b"")
    (folder / "broken text.png").write_text("no picture")
    os.mkfifo(folder / "broken pipe.png")
    (folder / "broken link.png").symlink_to("nowhere.png")
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden.png").write_bytes(whole)
    return folder


@pytest.fixture(scope="module")
def few(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine of them and one that is broken."""
    folder = tmp_path_factory.mktemp("few") / "album"
    folder.mkdir()
    for index in range(9):
        shutil.copy(album / f"year {index % 3}" / f"photo {index:02}.png", folder / f"{index}.png")
    shutil.copy(album / "broken text.png", folder)
    return folder


@pytest.fixture(scope="module")
def few_serial(few: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of them."""
    out = tmp_path_factory.mktemp("few serial") / "out"
    assert main(command(few, out)) == 1
    return results(out)


def command(album: Path, out: Path, *further: str) -> list[str]:
    return ["restore", str(album), str(out), *QUICK, "--threads", "1", *further]


def results(out: Path) -> dict[str, bytes]:
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*.png")}


def lines(out: Path) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, (out / "report.jsonl").read_text().splitlines()) if "file" in line]


def check_whole(out: Path, expected: dict[str, bytes]) -> None:
    """All 55 there once and the same to the byte, five named."""
    assert results(out) == expected
    found = journal.read(out)[0]
    failed = {file for file, line in found.items() if line["status"] == "failed"}
    assert {Path(file).stem for file in failed} == {f"broken {one}" for one in ("cut", "empty", "text", "pipe", "link")}
    assert all(found[file]["error"] for file in failed)
    assert len(found) == PHOTOGRAPHS
    assert not [file for file in out.rglob("*.part*") if file.is_file()]


@pytest.fixture(scope="module")
def serial(album: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of the album."""
    out = tmp_path_factory.mktemp("serial") / "out"
    assert main(command(album, out)) == 1
    assert len(results(out)) == PHOTOGRAPHS - BROKEN
    check_whole(out, results(out))
    assert len(lines(out)) == PHOTOGRAPHS, "a line each"
    return results(out)


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """The command as a process of its own that takes signals, and tells as JSON."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "dmap", *arguments, "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    yield from map(json.loads, process.stdout)


def children(pid: int) -> list[int]:
    """Processes below one that restore photographs."""
    import psutil

    try:
        return [one.pid for one in psutil.Process(pid).children(recursive=True) if _works(" ".join(one.cmdline()))]
    except psutil.NoSuchProcess:
        return []


def _works(words: str) -> bool:
    return "spawn_main" in words or words.startswith("ray::_Actor")


ENGINES = {"processes": ["--jobs", "2"], "ray": ["--ray", "local", "--jobs", "2"]}


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_workers_and_drivers_lose_the_photographs_at_hand_and_no_more(
    album: Path, serial: dict[str, bytes], tmp_path: Path, engine: str
) -> None:
    """A worker is killed in the middle, later the driver; the next call goes on and ends like a serial run."""
    if engine == "ray":
        pytest.importorskip("ray")
    out, killed, known = tmp_path / "out", 0, set()
    with start(command(album, out, *ENGINES[engine])) as process:
        for event in events(process):
            if event["event"] != "line":
                continue
            known |= {event["file"]}
            if len(known) == 8:
                victims = children(process.pid)
                assert victims
                os.kill(victims[0], signal.SIGKILL)
                killed = victims[0]
            if len(known) == 25:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait(30) == -signal.SIGKILL
    assert killed
    assert len(journal.read(out)[0]) >= 25
    began = time.monotonic()
    while time.monotonic() - began < 30 and _alive(out):
        time.sleep(0.1)
    again = start(command(album, out, *ENGINES[engine]))
    with again:
        told = list(events(again))
        assert again.wait(60) == 1, again.stderr.read() if again.stderr else ""
    assert not {event["file"] for event in told if event["event"] == "line"} & known, "finished ones were done again"
    assert told[-1]["skipped"] + len([file for file in known if "broken" in file]) >= 25
    check_whole(out, serial)


def _alive(out: Path) -> bool:
    """Whether a run still holds the folder."""
    try:
        with Journal(out):
            return False
    except ValueError:
        return True


def test_what_is_finished_is_passed_over_and_what_failed_is_tried_again_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    for index in range(3):
        picture(photos / f"{index}.png", index)
    whole = (photos / "2.png").read_bytes()
    (photos / "2.png").write_bytes(whole[:100])
    assert main(command(photos, out)) == 1
    assert "failed: 2.png" in capsys.readouterr().err
    times = {file: file.stat().st_mtime_ns for file in out.glob("*.png")}
    assert main(command(photos, out)) == 1, "what failed before is still told"
    assert len(lines(out)) == 3
    assert "2 are finished already, 1 failed before" in capsys.readouterr().err
    assert main(command(photos, out, "--retry-failed")) == 1
    assert len(lines(out)) == 4
    (photos / "2.png").write_bytes(whole)  # another file: it is tried without being asked
    assert main(command(photos, out)) == 0
    assert {file: file.stat().st_mtime_ns for file in times} == times
    (out / "1.png").unlink()
    os.utime(photos / "0.png")  # the same bytes
    assert main(command(photos, out)) == 0
    assert [line["file"] for line in lines(out)[5:]] == ["1.png"]
    capsys.readouterr()
    assert main([*command(photos, out), "--seed", "1"]) == 2, "results of other settings are not replaced unasked"
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command(photos, out), "--seed", "1", "--overwrite"]) == 0
    assert len(lines(out)) == 9


def test_the_report_says_what_became_of_each(tmp_path: Path) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    picture(photos / "a.png", 0)
    assert main(command(photos, out)) == 0
    head = json.loads((out / "report.jsonl").read_text().splitlines()[0])
    assert head["run"]["settings"]["iterations"] == 1
    (line,) = lines(out)
    assert (line["file"], line["output"], line["status"]) == ("a.png", "a.png", "done")
    direct = restore(
        photos / "a.png", prior="dmap_nss", steps=1, iterations=1, fidelity_weight=5.0, shift=0, clean="off"
    )
    assert line["before"]["quality"] == pytest.approx(direct.trace.photograph_prior[0], abs=1e-3)
    best = direct.trace.rows[direct.trace.best_iteration[0]]
    assert line["after"] == pytest.approx({"quality": best.prior[0], "distance": best.fidelity[0]}, abs=1e-3)
    assert line["seconds"] > 0
    assert line["digest"] == head["digest"]


def test_two_runs_on_one_folder_keep_out_of_each_others_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    picture(photos / "a.png", 0)
    with Journal(out):
        assert main(command(photos, out)) == 2
        assert "another run is at work" in capsys.readouterr().err
        assert main(command(photos, out, "--shard", "1/2")) == 2
    with Journal(out, Shard(1, 2)):
        assert main(command(photos, out)) == 2
        assert main(command(photos, out, "--shard", "1/2")) == 2
        assert main(command(photos, out, "--shard", "2/2")) == 0


def test_shards_do_everything_once_and_their_reports_are_one(
    few: Path, few_serial: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for index in (1, 2, 3):
        assert main(command(few, out, "--shard", f"{index}/3")) in (0, 1)
    assert results(out) == few_serial
    assert len(list(out.glob("report.*-of-3.jsonl"))) == 3
    capsys.readouterr()
    assert main(command(few, out)) == 1
    assert "9 are finished already, 1 failed before" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_drops_the_photographs_at_hand_and_keeps_the_rest(
    few: Path, few_serial: dict[str, bytes], tmp_path: Path, name: str, code: int
) -> None:
    out = tmp_path / "out"
    with start(command(few, out, "--jobs", "2")) as process:
        for event in events(process):
            if event["event"] == "line" and event["done"] == 3:
                workers = children(process.pid)
                process.send_signal(getattr(signal, name))
                break
        assert process.wait(30) == code
        assert process.stderr is not None
        assert "the same command goes on" in process.stderr.read()
    assert len(workers) == 2
    assert not any(_runs(pid) for pid in workers)
    kept = results(out)
    assert 2 <= len(kept) < 9
    assert all(few_serial[file] == content for file, content in kept.items())
    assert not list(out.rglob("*.part"))
    assert main(command(few, out)) == 1
    assert results(out) == few_serial


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_photographs_of_one_size_share_an_ascent_and_come_out_as_alone(tmp_path: Path) -> None:
    photos = tmp_path / "in"
    for index in range(5):
        picture(photos / f"{index}.png", index, SIDE if index < 3 else 80)
    Image.open(photos / "1.png").convert("RGBA").save(photos / "clear.png")  # alone: it has alpha
    for name, batch in (("alone", "1"), ("together", "4")):
        assert main([*command(photos, tmp_path / name), "--batch", batch, "--iterations", "3"]) == 0
    for file in sorted(photos.iterdir()):
        one, other = (np.asarray(Image.open(tmp_path / name / file.name)).astype(int) for name in ("alone", "together"))
        assert np.abs(one - other).max() <= 1, "but for the last bit of a rounding"
        assert (one == other).mean() > 0.999
    said = [
        {line["file"]: line["after"]["quality"] for line in lines(tmp_path / name)} for name in ("alone", "together")
    ]
    assert said[0] == pytest.approx(said[1], abs=0.01)


def test_what_a_photographs_file_holds_is_kept_in_a_folder_too(tmp_path: Path) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    picture(photos / "a.jpg", 0)
    deep = np.random.default_rng(0).integers(0, 65536, (SIDE, SIDE, 3), dtype=np.uint16)
    import tifffile

    tifffile.imwrite(photos / "deep.tif", deep, photometric="rgb")
    Image.open(photos / "a.jpg").save(photos / "b.bmp")
    assert (
        main([*command(photos, out), "--change", "0", "--added-detail", "1", "--detail", "0", "--colour", "off"]) == 0
    )
    assert sorted(file.name for file in out.glob("[a-z]*") if file.suffix != ".jsonl") == ["a.jpg", "b.png", "deep.tif"]
    photograph, about = read_photograph(out / "deep.tif")
    assert about.bits == 16
    # No change and all detail is the photograph itself.
    difference = photograph.pixels[0].permute(1, 2, 0).double().mul(65535).numpy() - deep
    assert np.abs(difference).max() <= 2
    assert main([*command(photos, tmp_path / "png"), "--format", "png"]) == 0, "a.jpg, b.bmp, deep.tif: all differ"


def test_wrong_use_is_named_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "in"
    picture(photos / "a.png", 0)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        ([str(photos), str(photos)], "would lie on the photographs"),
        ([str(photos), str(tmp_path / "out.png")], "a folder"),
        ([str(photos), str(tmp_path / "file")], "no folder"),
        ([str(photos), str(tmp_path / "file" / "out")], "nothing can be written"),
        ([str(tmp_path / "empty"), str(tmp_path / "out")], "no photograph"),
        ([str(tmp_path / "*.jpg"), str(tmp_path / "out")], "no file has such a name"),
        ([f"@{tmp_path / 'no list'}", str(tmp_path / "out")], "the list cannot be read"),
        ([str(photos), str(tmp_path / "out"), "--shard", "3/2"], "--shard"),
        ([str(photos), str(tmp_path / "out"), "--jobs", "0"], "--jobs"),
        ([str(photos), str(tmp_path / "out"), "--batch", "0"], "--batch"),
        ([str(photos), str(tmp_path / "out"), "--trace", "t.json"], "--trace"),
        ([str(photos), str(tmp_path / "out"), "--prior", "best"], "choose one of"),
        ([str(photos / "a.png"), str(tmp_path / "b.png"), "--jobs", "2"], "many photographs only"),
    ):
        assert main(["restore", *arguments]) == 2, arguments
        assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*.png"))


def test_inputs_are_folders_files_patterns_and_lists(tmp_path: Path) -> None:
    for index, name in enumerate(("a.png", "sub/b.png", "sub/c.jpg", "out/d.png")):
        picture(tmp_path / name, index)
    out = tmp_path / "out"
    (tmp_path / "list").write_text(f"{tmp_path / 'a.png'}\n\n{tmp_path / 'sub' / 'c.jpg'}\n")

    def outputs(*inputs: str, suffix: str = "") -> list[str]:
        return [pair.output for pair in find(inputs, out, suffix).pairs]

    assert outputs(str(tmp_path)) == ["a.png", "sub/b.png", "sub/c.jpg"], "results are no photographs"
    assert outputs(str(tmp_path / "**" / "[ab].png")) == ["a.png", "sub/b.png"]
    assert outputs(f"@{tmp_path / 'list'}", suffix=".tif") == ["a.tif", "sub/c.tif"]
    assert outputs(str(tmp_path / "sub"), str(tmp_path / "a.png")) == ["a.png", "b.png", "c.jpg"]
    picture(tmp_path / "sub" / "b.jpg", 9)
    found = find([str(tmp_path / "sub")], out, ".png")
    assert [pair.output for pair in found.pairs] == ["b.png", "c.png"]
    assert found.problems == [("b.png", "its result would be b.png, as that of b.jpg is")]


def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a real file system that is too small, where one can be made."""
    photos, disk = tmp_path / "in", tmp_path / "disk"
    for index in range(6):
        picture(photos / f"{index}.png", index, 96)
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        assert main(command(photos, disk / "out")) == 1
        assert "No space left" in capsys.readouterr().err
        kept = results(disk / "out")
        assert 0 < len(kept) < 6
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        assert main(command(photos, disk / "out")) == 0
        assert len(results(disk / "out")) == 6
        assert {file: results(disk / "out")[file] for file in kept} == kept
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert main(command(photos, disk / "other")) == 2
        assert "nothing can be written" in capsys.readouterr().err
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


class Deadly:
    """A recipe whose work ends its own process at one task."""

    def __call__(self, place: object) -> Any:
        return self._work

    @staticmethod
    def _work(task: int, report: object) -> int:
        if task == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if task == 5:
            raise ZeroDivisionError("five")
        return task * task


@pytest.mark.parametrize("engine", ENGINES)
def test_a_task_that_kills_its_workers_is_given_up_and_the_others_are_done(engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
        executor: Executor = RayActors("local", 2)
    else:
        executor = Processes([Serial().place] * 2)
    found = {one.task: one for one in executor.run(Deadly(), range(8))}
    assert [found[task].result for task in (0, 1, 2, 4, 6, 7)] == [0, 1, 4, 16, 36, 49]
    assert found[3].failure is not None
    assert (found[3].failure.kind, "2 times" in found[3].failure.text) == ("lost", True)
    assert found[5].failure is not None
    assert found[5].failure.text == "five"
    with pytest.raises(RuntimeError, match="its worker ended"):
        found[3].value()


def test_a_hundred_thousand_lines_are_read_in_seconds_and_a_torn_one_costs_itself(tmp_path: Path) -> None:
    line = {"file": "", "status": "done", "digest": "0" * 20, "time": 0.0, "notes": ["a note"] * 3}
    with open(tmp_path / "report.jsonl", "w") as report:
        for index in range(100_000):
            report.write(json.dumps({**line, "file": f"folder/photo {index}.png", "time": float(index)}) + "\n")
        report.write('{"file": "torn.png", "sta')
    began = time.monotonic()
    with Journal(tmp_path) as opened:
        assert time.monotonic() - began < 30, "a bound against squares, not a benchmark"
        assert (len(opened.lines), opened.damaged) == (100_000, 1)
        opened.write({**line, "file": "next.png", "time": 1e9})
    assert "next.png" in journal.read(tmp_path)[0]


def test_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    place = type(Serial().place)("cpu", 1)
    assert [one.value() for one in Serial(place).run(lambda _: lambda task, __: torch.get_num_threads(), [0])] == [1]
    assert torch.get_num_threads() == before
