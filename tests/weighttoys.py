"""Weight files for the tests: a small network's, and one that must never be unpickled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from dmap.priors.download import digest_of
from dmap.priors.pyiqa_adapter import build
from dmap.priors.random_weights import RandomFiles
from dmap.priors.weights import PINS

CNNIQA = "CNNIQA_koniq10k-e6f14c91.pth"


def cnniqa_weights() -> dict[str, Any]:
    torch.manual_seed(3)
    return {"params": build("cnniqa", RandomFiles()).state_dict()}


def pin(file: Path, patch: pytest.MonkeyPatch) -> None:
    """Let a toy pass for the published file whose name, and so whose digest, it bears."""
    patch.setitem(PINS, file.name, digest_of(file))


class Trap:
    """Unpickling it would make a folder."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.file),))
