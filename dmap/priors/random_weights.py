"""Metrics with random weights, to measure what their architecture can do. Nothing is fetched."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Linear

from ..errors import UserError
from .containment import Nothing
from .stored import StoredFiles
from .weights import NOWHERE, WeightStore, file_name

# Width, layers, patch and so on of OpenAI's published CLIP models.
_CLIP = {
    "RN50.pt": (1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12),
    "ViT-B-32.pt": (512, 224, 12, 768, 32, 77, 49408, 512, 8, 12),
    "ViT-L-14.pt": (768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12),
}


class RandomFiles:
    """``containment.Files`` that are empty: networks keep the random weights they are built with.

    Args:
        seed: of the values that have to be made up.
        real: files that are found there are read after all.

    Attributes:
        urls: what was asked for.
        invented: whether any of it was not found.
    """

    random = True

    def __init__(self, seed: int = 0, real: WeightStore = NOWHERE) -> None:
        self.real = StoredFiles(real)
        self.folder = tempfile.TemporaryDirectory()
        self.generator = torch.Generator().manual_seed(seed)
        self.urls: list[str] = []
        self.invented = False

    def path(self, url: str) -> Path:
        self.urls.append(url)
        if any((folder / file_name(url)).is_file() for folder in self.real.store.folders):
            return self.real.path(url)
        self.invented = True
        file = Path(self.folder.name) / file_name(url)
        file.touch()
        return file

    def _is_real(self, file: Path) -> bool:
        return file.parent != Path(self.folder.name)

    def tensors(self, file: Path) -> Any:
        if self._is_real(file):
            return self.real.tensors(file)
        made: dict[str, Callable[[], Any]] = {
            # 36 features of 774 support vectors.
            "brisque_svm_weights.pth": lambda: (self._normal(774) * 10, self._uniform(774, 36) * 2 - 1),
            # Two prompts of 16 words.
            "CLIP-IQA+_learned_prompts-603f3273.pth": lambda: self._normal(2, 16, 512) * 0.02,
            "QualiCLIP.pth": lambda: {"prompts_features": nn.functional.normalize(self._normal(14, 1024), dim=1)},
        }
        return made[file.name]() if file.name in made else Nothing()

    def script(self, file: Path) -> Any:
        if self._is_real(file):
            return self.real.script(file)
        if file.name.startswith("regressor_"):  # ARNIQA's: two views of 2048 features
            return Linear(4096, 1)
        from pyiqa.archs.clip_model import CLIP

        return CLIP(*_CLIP[file.name])

    def matlab(self, file: Path) -> Any:
        if self._is_real(file):
            return self.real.matlab(file)
        features = {"niqe_modelparameters.mat": 36, "niqe_matlab_params.mat": 36}
        if file.name in features:
            mean, covariance = self._gaussian(features[file.name])
            return {"mu_prisparam": mean[None], "cov_prisparam": covariance}
        if file.name == "brisque_matlab.mat":  # support vectors near the features of photographs
            usual = torch.tensor([*([2.0, 0.3] + [0.8, 0.0, 0.2, 0.2] * 4) * 2])
            vectors = usual + 0.1 * self._normal(1000, 36)
            return {"sv": vectors.double().numpy(), "sv_coef": self._normal(1000).double().numpy()}
        if file.name == "ILNIQE_templateModel.mat":
            mean, covariance = self._gaussian(430)
            basis = np.linalg.qr(self._normal(468, 430).double().numpy())[0]
            model = np.empty((1, 4), dtype=object)
            model[0] = [mean, covariance, self._normal(468).double().numpy(), basis]
            return {"templateModel": model}
        if file.name == "NRQM_model.mat":
            return {"model": {"linear": _cell(np.ones((4, 1))), "rf": _cell(_cell(*map(_cell, self._forests())))}}
        raise UserError(f"{file.name}: no random stand-in is known for it")

    def _forests(self) -> list[list[Any]]:
        """NRQM's three: left and right child, two entries that are not read, threshold, prediction and feature."""
        left, right = np.array([[2], [0], [0]]), np.array([[3], [0], [0]])
        values = [self._normal(3, 1).double().numpy() for _ in range(6)]
        return [[left, right, None, None, values[2 * i], values[2 * i + 1], np.ones_like(left)] for i in range(3)]

    def _gaussian(self, features: int) -> tuple[Any, Any]:
        spread = self._normal(features, features).double().numpy()
        return self._normal(features).double().numpy(), spread @ spread.T / features + np.eye(features)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)


def _cell(*values: Any) -> Any:
    """A row of MATLAB's cells, as scipy reads them."""
    row = np.empty((1, len(values)), dtype=object)
    for index, value in enumerate(values):
        row[0, index] = value
    return row
