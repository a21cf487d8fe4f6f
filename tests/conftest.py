"""Folders for weight files, with nothing in the caches of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No cache of pyiqa, torch.hub or CLIP has anything."""
    for name in ("TORCH_HOME", "HF_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path, empty_caches: Path) -> Path:
    """A model folder, with all caches empty."""
    (tmp_path / "iqa").mkdir()
    return tmp_path / "iqa"
