"""The command line: results, errors a person understands, exit codes, and nothing lost at Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmap.cli import COMMANDS, main
from dmap.degradations.synthetic import gaussian_noise
from dmap.image.files import read_photograph, write_picture
from dmap.method.rules import Adam
from dmap.settings import PRESETS, preset
from tools.demo import ROOT, psnr
from toys import photograph

QUICK = ["--steps", "2", "--iterations", "2"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph whose sides are no multiples of the latent grid."""
    file = tmp_path / "in.png"
    write_picture(photograph(1, 98)[..., :90, :].float(), file)
    return file


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], *([command.NAME, "--help"] for command in COMMANDS)):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(command.NAME in text for command in COMMANDS)
    assert all(name in text for name in PRESETS)


def test_restore_writes_the_picture_its_size_and_its_trace(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, trace = photo.with_name("out.png"), photo.with_name("trace.json")
    assert main(["restore", str(photo), str(out), *QUICK, "--trace", str(trace), "--fidelity-weight", "5"]) == 0
    with Image.open(out) as image:
        assert image.size == (98, 90)
    rows = json.loads(trace.read_text())["rows"]
    assert len(rows) == 3
    assert rows[-1]["objective"][0] > rows[0]["objective"][0]
    seen = capsys.readouterr()
    assert "quality" in seen.out
    assert "left" in seen.err


def test_a_clean_start_is_told_and_taken(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A noisy photograph that is hardly moved (the fidelity holds it) comes out without its noise."""
    noisy, out = photo.with_name("noisy.png"), photo.with_name("cleaned.png")
    clean = read_photograph(ROOT / "workflows" / "dmap_sample_clean.png")[0].pixels[..., 60:160, 60:160]
    write_picture(gaussian_noise(clean, 0.08, torch.Generator().manual_seed(0)), noisy)
    assert main(["restore", str(noisy), str(out), *QUICK, "--fidelity-weight", "1000"]) == 0
    assert "cleaned: noise of" in capsys.readouterr().err
    assert psnr(read_photograph(out)[0].pixels, clean) > psnr(read_photograph(noisy)[0].pixels, clean) + 3


def test_the_same_seed_gives_the_same_file_and_another_does_not(photo: Path) -> None:
    files = {}
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        out = photo.with_name(f"{name}.png")
        assert main(["restore", str(photo), str(out), *QUICK, "--seed", seed, "--fidelity-weight", "5"]) == 0
        files[name] = out.read_bytes()
    assert files["a"] == files["b"] != files["c"]


def test_the_papers_configuration_is_reproducible_to_the_bit(photo: Path) -> None:
    """Two runs, every number of every iteration; fewer steps and iterations than the preset's, for time."""
    traces = []
    for name in ("a", "b"):
        out, trace = photo.with_name(f"{name}.png"), photo.with_name(f"{name}.json")
        short = ["--preset", "paper", "--steps", "5", "--iterations", "2", "--trace", str(trace)]
        assert main(["restore", str(photo), str(out), *short]) == 0
        found = json.loads(trace.read_text())
        traces.append(([{**row, "seconds": 0} for row in found["rows"]], out.read_bytes()))
        assert (found["settings"]["rule"], found["settings"]["step_size"]) == ("momentum", 2.0)
    assert traces[0] == traces[1]
    paper = preset("paper")
    assert (paper.solver, paper.steps, paper.strength, paper.fidelity_weight) == ("edict", 50, 1.0, 20.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["nothing.png", "OUT"], "no such file"),
        (["notes.txt", "OUT"], "cannot be read as a picture"),
        (["IN", "OUT.gif"], "must end in one of"),
        (["IN", "missing/out.png"], "folder does not exist"),
        (["IN", "IN"], "is the same file as IN"),
        (["IN", "OUT", "--prior", "best"], "choose one of"),
        (["IN", "OUT", "--strength", "2"], "strength: got 2.0"),
        (["IN", "OUT", "--iterations", "0"], "iterations: got 0"),
        (["IN", "OUT", "--steps", "300"], "steps: got 300"),
        (["IN", "OUT", "--checkpoint", "notes.txt"], "checkpoint notes.txt: it cannot be read"),
        (["IN", "OUT", "--device", "abacus"], "--device: 'abacus' cannot be used here"),
        (["IN", "OUT", "--solver", "edict", "--steps", "2", "--max-error", "0"], "--max-error"),
    ],
)
def test_a_wrong_option_is_named_before_anything_is_written(
    photo: Path, change: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    Path("notes.txt").write_text("no picture")
    names = {"IN": "in.png", "OUT": "out.png", "OUT.gif": "out.gif"}
    before = photo.read_bytes()
    assert main(["restore", *(names.get(word, word) for word in change)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.strip().splitlines()[-1].startswith("error: ")
    assert not Path("out.png").exists()
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "meta"], "--device: 'meta' cannot be used"),
        (["--batch", "0"], "--batch: of use for many photographs"),
        (["--weights", "nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_no_option_is_passed_over(
    photo: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["restore", str(photo), str(photo.with_name("out.png")), *options])
    except SystemExit as end:  # of argparse
        code = int(end.code or 0)
    assert code == 2
    assert words in capsys.readouterr().err


def test_an_unknown_choice_ends_with_the_usage_code(photo: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["restore", str(photo), "out.png", "--solver", "magic"])
    assert stop.value.code == 2


def test_a_number_that_breaks_late_keeps_the_best_image(
    photo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = photo.with_name("out.png")
    change = Adam.change
    monkeypatch.setattr(Adam, "change", lambda rule, gradient: 1e38 * change(rule, gradient))
    assert main(["restore", str(photo), str(out), *QUICK]) == 1
    assert out.exists()
    assert "not finite in iteration 1" in capsys.readouterr().err


def test_ctrl_c_writes_the_best_image_so_far(photo: Path) -> None:
    out = photo.with_name("out.png")
    command = [sys.executable, "-m", "dmap", "restore", str(photo), str(out), "--iterations", "500"]
    # A shell that starts the tests in the background has them, and their children, ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("restoring 2/"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert "interrupted; the best image so far is written" in rest
    with Image.open(out) as image:
        assert image.size == (98, 90)


def test_pictures_are_read_upright(tmp_path: Path) -> None:
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.new("RGB", (40, 20), (200, 10, 10)).save(turned, exif=exif)
    image = read_photograph(turned)[0].pixels
    assert image.shape == (1, 3, 40, 20)
    assert torch.allclose(image[0, 0].mean(), torch.tensor(200 / 255), atol=0.02)


def test_16_bit_grey_keeps_its_values(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 1, 64), (64, 1))
    Image.fromarray((65535 * ramp).astype(np.uint16)).save(tmp_path / "deep.png")
    image = read_photograph(tmp_path / "deep.png")[0].pixels
    assert torch.allclose(image[0], torch.tensor(ramp).float().expand(3, -1, -1), atol=1 / 255)


def test_tiles_on_the_command_line(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Near the whole at a small step; a tile that is too small is named."""
    pixels = []
    for name, tile in (("whole", "0"), ("tiles", "64")):
        out = photo.with_name(f"{name}.png")
        arguments = ["--steps", "1", "--iterations", "1", "--step-size", "0.001", "--tile", tile]
        assert main(["restore", str(photo), str(out), *arguments]) == 0
        pixels.append(read_photograph(out)[0].pixels)
    assert pixels[0].shape == pixels[1].shape
    assert 0 < float((pixels[0] - pixels[1]).abs().mean()) < 0.02
    assert main(["restore", str(photo), str(photo.with_name("no.png")), "--tile", "16"]) != 0
    assert "tile: got 16" in capsys.readouterr().err
