"""A git directory as a host's folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.host import export


def _repository(folder: Path) -> Path:
    folder.mkdir()
    (folder / "sub").mkdir()
    (folder / "main.py").write_text("print(1)\n")
    (folder / "sub" / "large name.bin").write_bytes(bytes(range(256)))
    (folder / "requirements.txt").write_text("torch\nno-such-package==1.0 # why\n# comment\n")
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_every_file_is_written_and_a_missing_one_named(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "host with blanks")
    assert export.export(repository / ".git", tmp_path / "out") == []
    assert (tmp_path / "out" / "sub" / "large name.bin").read_bytes() == bytes(range(256))
    listed = subprocess.run(["git", "rev-parse", "HEAD:main.py"], cwd=repository, capture_output=True, check=True)
    name = listed.stdout.decode().strip()
    (repository / ".git" / "objects" / name[:2] / name[2:]).unlink()
    assert export.export(repository / ".git", tmp_path / "again") == ["main.py"]
    assert not (tmp_path / "again" / "main.py").exists()
    assert export.requirements(tmp_path / "out") == ["no-such-package==1.0"]


def test_a_folder_that_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        export.main([str(tmp_path), str(tmp_path)])
    assert "is there already" in capsys.readouterr().err
