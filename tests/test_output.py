"""Places of results: checked before the work, and never lost at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import string
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from checkout import ROOT
from dmap import output, tensorfile
from dmap.cli import main
from dmap.compare.folder import write_json
from dmap.errors import UserError
from dmap.image.files import write_picture
from dmap.priors import maps, priorfile
from toys import photograph

QUICK = ["--steps", "1", "--iterations", "1"]
NO_SPACE = OSError(28, "No space left on device")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "in.png"
    write_picture(photograph(1, 96).float(), file)
    return file


WRITERS = {
    "picture": lambda file: write_picture(photograph(1, 8).float(), file.with_suffix(".png")),
    "tensors": lambda file: tensorfile.write(file, {"x": torch.zeros(1)}, {}),
    "maps": lambda file: maps.write({}, file),
    "prior file": lambda file: priorfile.write(priorfile.PriorFile("a", "mean", (("b", 1.0),)), file),
    "json": lambda file: write_json(file, {}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_writing_touches_no_other_file(kind: str, tmp_path: Path) -> None:
    """Not even one that is called as temporary files were: a neighbour's, or a user's own."""
    neighbours = [tmp_path / name for name in ("x.part", "x.png.part", ".x.part.png", "x")]
    for one in neighbours:
        one.write_text("mine")
    target = tmp_path / "y"
    WRITERS[kind](target)
    WRITERS[kind](tmp_path / "x.other")
    (tmp_path / "x.other.part").write_text("mine")
    WRITERS[kind](tmp_path / "x.other")
    assert all(one.read_text() == "mine" for one in [*neighbours, tmp_path / "x.other.part"])
    assert not list(tmp_path.glob(".dmap-*"))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "kept.txt"
    file.write_text("old")
    with contextlib.suppress(ZeroDivisionError), output.replacing(file) as new:
        new.write_text("half")
        _ = 1 / 0
    assert file.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["kept.txt"]


def test_a_new_file_has_the_usual_rights_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    plain, old = tmp_path / "plain", tmp_path / "old"
    plain.write_text("")
    old.write_text("")
    old.chmod(0o640)
    for name in ("new", "old"):
        output.write_text(tmp_path / name, "text")
    assert (tmp_path / "new").stat().st_mode == plain.stat().st_mode
    assert old.stat().st_mode & 0o777 == 0o640


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(alphabet=st.characters(blacklist_categories=()), min_size=1, max_size=300))
def test_any_name_is_written_or_refused_before(name: str, tmp_path: Path) -> None:
    """What ``check_place`` lets through can be written; nothing else than a UserError is raised."""
    try:
        file = tmp_path / "sub" / name
        (tmp_path / "sub").mkdir(exist_ok=True)
        output.check_place(file)
    except UserError:
        return
    if file.resolve().is_relative_to(tmp_path):
        output.write_text(file, name)
        assert file.is_file()


@pytest.mark.parametrize("length", [200, 240, 250, 255])
def test_long_names_are_written(length: int, tmp_path: Path) -> None:
    file = tmp_path / ("n" * (length - 4) + ".png")
    output.check_place(file)
    write_picture(photograph(1, 8).float(), file)
    tensorfile.write(file, {"x": torch.zeros(1)}, {})
    with pytest.raises(UserError, match="nothing can be written under this name"):
        output.check_place(tmp_path / ("n" * 252 + ".png"))


def test_two_arguments_never_name_one_file(tmp_path: Path) -> None:
    file, hard, soft = tmp_path / "a", tmp_path / "hard", tmp_path / "soft"
    file.write_text("")
    os.link(file, hard)
    soft.symlink_to(file)
    for other in (file, hard, soft, tmp_path / "x" / ".." / "a"):
        with pytest.raises(UserError, match=r"--trace: .* is the same file as IN"):
            output.check_distinct({"IN": file, "--weights": None, "--trace": other})
    new = tmp_path / "new"
    with pytest.raises(UserError, match="same file"):
        output.check_distinct({"OUT": new, "--trace": tmp_path / "." / "new"})
    output.check_distinct({"IN": file, "OUT": new, "--trace": tmp_path / string.ascii_letters})


def test_the_second_place_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = output.keep(lambda file: output.write_text(file, "x"), Path("/proc/no/" + "ü" * 100 + ".json"), said.append)
    assert place.is_relative_to(tmp_path)
    assert place.read_text() == "x"
    assert place.suffix == ".json"
    assert str(place) in said[0]

    def full(_: Path) -> None:
        raise NO_SPACE

    with pytest.raises(OSError, match="No space left"):
        output.keep(full, tmp_path / "x", said.append)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in.png", "out.png", "--trace", "in.png"], "--trace: in.png is the same file as IN"),
        (["in.png", "out.png", "--trace", "link.png", "--overwrite"], "--trace: link.png is the same file as IN"),
        (["in.png", "in.png", "--overwrite"], "OUT: in.png is the same file as IN"),
        (["in.png", "out.png", "--trace", "out.png"], "--trace: out.png is the same file as OUT"),
        (["in.png", "out.png", "--trace", "notes.txt"], "notes.txt: it exists already"),
        (["in.png", "out.png", "--trace", "."], "it is a folder"),
        (["in.png", "out.png", "--trace", "nowhere/trace.json"], "its folder does not exist"),
        (["in.png", "out.png", "--trace", "/dev/null", "--overwrite"], "it is no plain file"),
        (["in.png", "out.png", "--checkpoint", "w.safetensors", "--trace", "w.safetensors"], "same file"),
        (["in.png", "n" * 252 + ".png"], "File name too long"),
        (["in.png", "in.png/out.png"], "nothing can be written under this name"),
    ],
)
def test_places_are_checked_before_the_work(
    photo: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    monkeypatch.setattr("dmap.models.choice.shipped", lambda *_: pytest.fail("the work began"))
    Path("folder.png").mkdir()
    Path("link.png").symlink_to("in.png")
    Path("notes.txt").write_text("mine")
    Path("w.safetensors").write_text("mine")
    before = {file: file.read_bytes() for file in Path().iterdir() if file.is_file()}
    assert main(["restore", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert {file: file.read_bytes() for file in Path().iterdir() if file.is_file()} == before


@pytest.mark.parametrize("kind", ["read-only", "full"])
def test_a_place_that_fails_at_the_end_loses_nothing(
    photo: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder goes away, or fills, while the ascent runs: picture and trace are in the temporary folder."""
    place, second = tmp_path / "place", tmp_path / "second"
    place.mkdir()
    second.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(second))
    mkstemp = __import__("tempfile").mkstemp

    def refusing(suffix: str, prefix: str, folder: Path) -> tuple[int, str]:
        if Path(folder) == place:
            raise NO_SPACE if kind == "full" else OSError(30, "Read-only file system")
        return mkstemp(suffix, prefix, folder)

    monkeypatch.setattr("dmap.output.tempfile.mkstemp", refusing)
    code = main(["restore", str(photo), str(place / "out.png"), *QUICK, "--trace", str(place / "trace.json")])
    assert code == 1
    (picture,) = second.rglob("out.png")
    (trace,) = second.rglob("trace.json")
    with Image.open(picture) as image:
        assert image.size == (96, 96)
    assert len(json.loads(trace.read_text())["rows"]) == 2
    said = capsys.readouterr()
    assert f"the result is {picture}" in said.err
    assert str(picture) in said.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_that_end_the_program_keep_the_best_image(photo: Path, number: signal.Signals) -> None:
    """Also when nobody listens any more: a closed terminal takes stderr with it."""
    out = photo.with_name("out.png")
    command = [sys.executable, "-m", "dmap", "restore", str(photo), str(out), "--steps", "1", "--iterations", "900"]

    def heard() -> None:  # the tests may run where signals are ignored, which is inherited
        signal.signal(number, signal.SIG_DFL)

    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=heard
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("restoring 2/"):
                break
        process.stderr.close()
        time.sleep(0.2)
        process.send_signal(number)
        assert process.wait(60) == (130 if number == signal.SIGINT else 128 + number)
    finally:
        process.kill()
    with Image.open(out) as image:
        assert image.size == (96, 96)


def test_what_is_to_be_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with output.stoppable():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(output.Stopped) as stopped:
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # there is time to save
        assert stopped.value.code == 143
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "file/below"])
def test_a_new_folder_that_cannot_be_made_is_refused_before_the_work(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another"):
        output.check_new_folder(tmp_path / name)
    output.check_new_folder(tmp_path / "new" / "below")
