"""Priors among the host's own modules: its memory management moves them to a second device and back, without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch.utils.backend_registration

from tools.host.server import ROOT, host_folder

HERE = Path(__file__).resolve().parent
AWAY, HERE_AGAIN = ["pretend"], ["cpu"]
pytestmark = pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch cannot have a device that is written in Python",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``prior_host.py`` prints."""
    parent = tmp_path_factory.mktemp("pack")
    (parent / "comfyui_dmap").symlink_to(ROOT, target_is_directory=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(ROOT)])}
    command = [sys.executable, str(HERE / "prior_host.py"), str(host_folder()), str(parent)]
    result = subprocess.run(command, env=environment, cwd=parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    printed: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return printed


def test_two_priors_are_loaded_at_once_and_unloaded(found: dict[str, Any]) -> None:
    assert found["sizes"][0] == found["sizes"][1]
    assert found["before"] == [HERE_AGAIN, HERE_AGAIN]
    assert found["scores"] == pytest.approx(found["expected"], abs=1e-3)
    assert found["both loaded"] == [AWAY, AWAY]
    assert found["unloaded"] == [HERE_AGAIN, HERE_AGAIN]


def test_one_makes_room_for_the_other(found: dict[str, Any]) -> None:
    first, second = found["expected"]
    assert found["scores of one at a time"] == pytest.approx([first, second, first], abs=1e-3)
    assert found["one loaded"] == [AWAY, HERE_AGAIN]


def test_a_mixtures_networks_are_loaded_together(found: dict[str, Any]) -> None:
    assert found["score of the mixture"] == pytest.approx(found["expected of the mixture"], abs=1e-3)
    assert found["mixture loaded"] == [AWAY]
    assert found["mixture unloaded"] == [HERE_AGAIN]


def test_a_prior_that_was_moved_in_inference_mode_has_its_gradient(found: dict[str, Any]) -> None:
    assert found["gradient"] < 1e-6


def test_a_download_is_told_to_the_hosts_progress_bar(found: dict[str, Any]) -> None:
    size = 3 << 20
    assert found["progress"][-1] == [size, size]
    assert [value for value, _ in found["progress"]] == sorted({value for value, _ in found["progress"]})
    assert len(found["progress"]) > 1
