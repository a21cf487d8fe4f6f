"""Where NIQE's parameters are, which the pack neither carries nor downloads."""

from __future__ import annotations

import os
from pathlib import Path

from tools.host.server import ROOT

NAME = "niqe_modelparameters.mat"
BESIDE = ROOT.parent / "shared" / "data" / "weights" / NAME
MISSING = f"NIQE's parameters are not at hand and nothing is downloaded; name {NAME} in NIQE_PARAMETERS"


def parameters() -> Path | None:
    """The file that the environment variable NIQE_PARAMETERS names, or the one in the data beside the repository."""
    named = os.environ.get("NIQE_PARAMETERS", "")
    file = Path(named) if named else BESIDE
    return file if file.is_file() else None
