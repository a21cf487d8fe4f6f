"""Metrics' files from a store, read safely."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from .checkpoint import read_checkpoint
from .download import digest_of
from .weights import WeightStore, known_digest

_LOAD_SCRIPT: Any = torch.jit.load


class StoredFiles:
    """``containment.Files`` from a store. Nothing in a file is run, unless it is known by its SHA-256.

    Attributes:
        used: the files that were asked for, by address.
        stopped: what ended a download other than a fault of it, such as a host's interrupt.
    """

    random = False

    def __init__(self, store: WeightStore) -> None:
        self.store = store
        self.used: dict[str, Path] = {}
        self.stopped: BaseException | None = None

    def path(self, url: str) -> Path:
        try:
            self.used[url] = self.store.locate(url)
        except ValueError:
            raise
        except BaseException as error:
            self.stopped = error
            raise
        return self.used[url]

    def tensors(self, file: Path) -> Any:
        return read_checkpoint(file)

    def script(self, file: Path) -> Any:
        """CLIP as OpenAI publishes it is TorchScript, a program: it is opened only if it is that very file."""
        if file.suffix == ".safetensors":
            raise RuntimeError("a conversion, to be read as tensors")
        expected = next((known_digest(url) for url, path in self.used.items() if path == file), None)
        if expected is None or len(expected) != 64:
            raise UserError(
                f"weights file {file.name}: it is a TorchScript program whose SHA-256 is not published, so it "
                "is not run"
            )
        found = digest_of(file)
        if found != expected:
            raise UserError(
                f"weights file {file.name}: its SHA-256 is {found}, that of the published file is {expected}; it is "
                "damaged or another one, fetch it again from its source"
            )
        return _LOAD_SCRIPT(str(file), map_location="cpu")

    def matlab(self, file: Path) -> Any:
        from scipy.io.matlab import loadmat

        try:
            return loadmat(file)
        except Exception as error:  # scipy raises many kinds for damaged files
            raise UserError(
                f"weights file {file.name}: it is damaged or no MATLAB file ({error}); fetch it again"
            ) from error
