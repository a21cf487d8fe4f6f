"""The README's two commands work wherever the repository was cloned to, whatever the folders on the way are called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from checkout import ROOT, copy, tracked
from tools.host.server import host_folder

PLACE = "my clones/ComfyUI-DMAP"
"""The repository's own name, which is no name for a Python package, below one with a blank."""
MAKE = ["make", "--old-file=.venv/installed"]  # it is there: the clone borrows the environment that runs this test


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this working tree with environment and host as ``make setup`` would have put them there."""
    folder: Path = tmp_path_factory.mktemp("newcomer") / PLACE
    copy(tracked(), folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".host").mkdir()
    for host in (".host/ComfyUI", "my host"):
        (folder / host).symlink_to(host_folder())
    if (ROOT / ".mypy_cache").is_dir():  # what mypy knows of torch, a matter of minutes
        shutil.copytree(ROOT / ".mypy_cache", folder / ".mypy_cache")
    return folder


def run(command: list[str], clone: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the clone as from a new shell, with further environment variables."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "COMFYUI"))
    }
    return subprocess.run(command, cwd=clone, env={**inherited, **variables}, capture_output=True, text=True)


def test_the_checkers_pass(clone: Path) -> None:
    done = run([*MAKE, "lint"], clone)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_checkers_still_find_what_is_wrong(clone: Path) -> None:
    """What spares the name of the clone spares no module of ours, and no folder on the way leaves anything out."""
    wrong = clone / "dmap" / "Wrong-Name.py"
    wrong.touch()
    done = run([sys.executable, "-m", "ruff", "check", "."], clone)
    wrong.unlink()
    assert done.returncode == 1
    assert "N999 Invalid module name: 'Wrong-Name'" in done.stdout
    assert "Found 1 error" in done.stdout


def test_every_test_is_found(clone: Path) -> None:
    done = run([sys.executable, "-m", "pytest", "tests", "--collect-only", "-q"], clone)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_demo_restores_a_photograph(clone: Path) -> None:
    """With a photograph, a folder for the results and a ComfyUI whose paths hold blanks as well."""
    photographs, results = clone / "my photographs", clone / "my results"
    photographs.mkdir()
    for name in ("dmap_sample.png", "dmap_sample_clean.png"):
        with Image.open(clone / "workflows" / name) as sample:
            sample.crop((160, 60, 336, 236)).save(photographs / name)
    command = [sys.executable, "-m", "tools.demo", "--iterations", "1", "--out", str(results)]
    command += ["--photo", str(photographs / "dmap_sample.png"), "--clean", str(photographs / "dmap_sample_clean.png")]
    done = run(command, clone, COMFYUI_DIR="my host")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (results / "restored.png").is_file()


@pytest.mark.parametrize("host", ["", "my host"])
def test_make_installs_nothing_twice(clone: Path, host: str) -> None:
    """Set up once, both commands go to work at once, with the host of ``make setup`` and with another."""
    done = run([*MAKE, "--dry-run", "demo", "test", f"COMFYUI_DIR={host}"], clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tools.demo" in done.stdout
    assert "-m pytest" in done.stdout
    assert "pip install" not in done.stdout
    assert "host.fetch" not in done.stdout


def test_a_host_that_is_not_there_is_named(clone: Path) -> None:
    done = run([*MAKE, "setup", "COMFYUI_DIR=no host here"], clone)
    assert done.returncode == 2
    assert "no ComfyUI at no host here" in done.stdout
