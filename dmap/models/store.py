"""The pack's model files: safetensors with the architecture in the header."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import jsonfile, tensorfile
from ..errors import UserError
from .autoencoder import Autoencoder
from .denoiser import LatentDenoiser
from .judge import JudgeNet
from .quality import QualityNet

FORMAT = "dmap-model"
VERSION = "1"
WEIGHTS = Path(__file__).parent / "weights"
KINDS: dict[str, type[nn.Module]] = {
    "autoencoder": Autoencoder,
    "denoiser": LatentDenoiser,
    "quality": QualityNet,
    "judge": JudgeNet,
}


@dataclass(frozen=True)
class SavedModel:
    """A model file's content: what it is, its constructor's keyword arguments, and its tensors as stored."""

    kind: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]


def model_file(name: str | os.PathLike[str]) -> Path:
    """Where a model is: a shipped one by its name, any by a path that ends in .safetensors."""
    path = Path(name)
    return path if path.suffix == ".safetensors" else WEIGHTS / f"{path}.safetensors"


def save_model(
    model: nn.Module,
    config: dict[str, Any],
    file: str | os.PathLike[str],
    dtype: torch.dtype = torch.float16,
    notes: dict[str, str] | None = None,
) -> None:
    """Write a model atomically.

    Args:
        model: one of the shipped classes.
        config: its constructor's keyword arguments, as JSON can hold them.
        file: a path that ends in .safetensors.
        dtype: of the stored tensors.
        notes: further header entries, such as the seed and the training time.
    """
    kind = next(name for name, cls in KINDS.items() if type(model) is cls)
    tensors = {key: value.to(dtype) for key, value in model.state_dict().items()}
    meta = {**(notes or {}), "format": FORMAT, "version": VERSION, "kind": kind, "config": json.dumps(config)}
    tensorfile.write(file, tensors, meta)


def read_model(name: str | os.PathLike[str], kind: str | None = None) -> SavedModel:
    """Read a shipped model by name, or one by its path.

    Raises:
        UserError: if the file is missing, damaged, not a DMAP model, of another version, or not of that kind.
    """
    file = model_file(name)
    tensors, meta = tensorfile.read(file, "model file", "install the pack again")
    if meta.get("format") != FORMAT:
        raise UserError(f"model file {file.name}: it is not a model of this pack")
    if meta.get("version") != VERSION:
        raise UserError(f"model file {file.name}: version {meta.get('version')} is not known here; update the pack")
    found = meta.get("kind", "")
    if found not in KINDS or (kind is not None and found != kind):
        raise UserError(
            f"model file {file.name}: it holds a {found or 'nameless'} model, expected {kind or list(KINDS)}"
        )
    try:
        config = jsonfile.shaped(dict[str, Any], jsonfile.loads(meta["config"]))
    except (KeyError, UserError) as error:
        raise UserError(f"model file {file.name}: its header has no readable config; install the pack again") from error
    broken = [name for name, one in tensors.items() if one.is_floating_point() and not torch.isfinite(one).all()]
    if broken:
        raise UserError(f"model file {file.name}: {broken[0]} holds values that are no finite numbers; train it again")
    return SavedModel(found, config, tensors)


def load_model(
    name: str | os.PathLike[str],
    kind: str | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    operations: Any = nn,
) -> nn.Module:
    """Build a model and load its weights; in eval mode.

    Args:
        name: as for ``read_model``.
        kind: what it must be; None for any.
        device, dtype: where and as what its tensors are built.
        operations: where layers come from; a host passes its own namespace.

    Raises:
        UserError: as ``read_model``, or if the tensors do not fit the architecture.
    """
    saved = read_model(name, kind)
    try:
        model = KINDS[saved.kind](**saved.config, device=device, dtype=dtype, operations=operations)
        model.load_state_dict(saved.tensors)
    except (RuntimeError, TypeError) as error:
        text = f"model file {model_file(name).name}: its tensors do not fit a {saved.kind}: {error}"
        raise UserError(text) from error
    return model.eval()
