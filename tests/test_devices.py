"""Priors on another device than the CPU: everything that they compute with has to move. No GPU is needed for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch.utils.backend_registration

from priortoys import APPROXIMATE, BUILDERS

HERE = Path(__file__).resolve().parent
PYIQA = ("clipiqa", "dbcnn", "unique")
"""With CLIP in a list, with plain tensors as attributes, and with a module of its own for them."""
needs_backends = pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch cannot have a device that is written in Python",
)


@needs_backends
def test_priors_move_to_a_device_and_back() -> None:
    names = [*BUILDERS, *APPROXIMATE, *PYIQA]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    result = subprocess.run(
        [sys.executable, str(HERE / "device_moves.py"), *names], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert set(found) == set(names)
    for name, differences in found.items():
        assert differences["stayed"] == 0, name
        assert differences["score"] < 1e-3, (name, differences)
        assert differences["gradient"] < 1e-3, (name, differences)
        assert differences["back"] == 0, (name, differences)
