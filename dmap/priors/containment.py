"""pyiqa at arm's length: what importing and building its metrics would change or fetch is undone or intercepted.

pyiqa's builders look for their files themselves, download what is missing and unpickle it. While one of them runs, the
few functions through which that happens are exchanged for ones that ask ``Files``, and put back afterwards.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import random
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..errors import UserError

STRAY_PACKAGES = ("tests", "options", "ResultsCalibra")
"""Folders that pyiqa's wheel puts beside itself, where they would stand for anyone's package of that name."""
_IMPORTERS = ("pyiqa.", "facexlib.", "clip.")
_LOCK = threading.RLock()


class Files(Protocol):
    """Where a metric's files come from."""

    random: bool
    """Whether weights are not read at all: empty ones are then left as the builder drew them."""

    def path(self, url: str) -> Path:
        """The file that would be fetched from there; ValueError if there is none."""

    def tensors(self, file: Path) -> Any:
        """What a torch file holds."""

    def script(self, file: Path) -> Any:
        """A TorchScript archive; RuntimeError if the file is to be read as a torch file instead."""

    def matlab(self, file: Path) -> Any:
        """What a .mat file holds."""


class Nothing(dict[str, Any]):
    """Stands for weights that are not read: has every entry, and loading it changes nothing."""

    def __getitem__(self, key: str) -> Nothing:
        return self


@contextlib.contextmanager
def process_state_kept() -> Iterator[None]:
    """What importing and building change of the process is afterwards as before.

    That is: environment, warning filters, gradient mode, cudnn's flags, where modules are looked for, stray packages,
    and the states of the random generators. Nothing is printed meanwhile, and hubs that ask the environment are told
    to stay offline.
    """
    environment, gradient, path = dict(os.environ), torch.is_grad_enabled(), list(sys.path)
    drawn = torch.get_rng_state(), np.random.get_state(), random.getstate()
    cudnn = torch.backends.cudnn
    flags = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
    stray = {name for name in STRAY_PACKAGES if name in sys.modules}
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _pkg_resources():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in set(os.environ) - set(environment):  # not all at once: other threads read it
            del os.environ[name]
        os.environ.update(environment)
        sys.path[:] = [entry for entry in sys.path if entry in path]  # Q-Align's code puts its folder first
        torch.set_rng_state(drawn[0])
        np.random.set_state(drawn[1])
        random.setstate(drawn[2])
        torch.set_grad_enabled(gradient)
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = flags
        for name in set(STRAY_PACKAGES) - stray:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _pkg_resources() -> Iterator[None]:
    """OpenAI's clip imports ``packaging`` from pkg_resources, which newer setuptools no longer have."""
    name = "pkg_resources"
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
    if name in sys.modules:
        yield
        return
    stand_in = types.ModuleType(name)
    with contextlib.suppress(ImportError):
        importlib.import_module("packaging.version")
        stand_in.packaging = importlib.import_module("packaging")  # type: ignore[attr-defined]
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        sys.modules.pop(name, None)


class Filled:
    """Which parameters were read from a file, and which backbones were left without."""

    def __init__(self) -> None:
        self.skipped: list[nn.Module] = []
        self.filled: set[int] = set()

    def check(self, network: nn.Module) -> None:
        """Raise UserError if the network uses parameters of a backbone that no file has filled."""
        left = {id(p) for module in self.skipped for p in module.parameters()} - self.filled
        names = [name for name, parameter in network.named_parameters() if id(parameter) in left]
        if names:
            raise UserError(f"the weights file has no values for {names[0]} and {len(names) - 1} other parameters")


@contextlib.contextmanager
def files_from(files: Files) -> Iterator[Filled]:
    """While it is on, pyiqa, timm, torchvision, clip and torch.hub get their files from ``files`` and nowhere else.

    ImageNet weights of backbones, which the metric's own file replaces, are not asked for at all.
    """
    filled = Filled()
    with _LOCK, contextlib.ExitStack() as stack:
        for owner, name, replacement in list(_replacements(files, filled)):
            original = getattr(owner, name)
            _exchange(owner, name, original, replacement)
            stack.callback(_exchange, owner, name, replacement, original)
        yield filled


def _exchange(owner: Any, name: str, old: Any, new: Any) -> None:
    """Also in modules that have imported the old one by name."""
    setattr(owner, name, new)
    if isinstance(old, types.FunctionType):
        for module in [module for key, module in sys.modules.items() if key.startswith(_IMPORTERS)]:
            if getattr(module, name, None) is old:
                setattr(module, name, new)


def _replacements(files: Files, filled: Filled) -> Iterator[tuple[Any, str, Any]]:
    """(owner, attribute, what stands there meanwhile)."""

    def fetched() -> Any:  # a new function each time, so that putting back does not mix two originals up
        return lambda url, *_, **__: str(files.path(url))

    def refused(url: str, *_: Any, **__: Any) -> None:
        files.path(url)  # says what is missing
        raise UserError(f"{url}: nothing is fetched from there")

    def tensors(file: Any, *_: Any, **__: Any) -> Any:
        return files.tensors(_path(file))

    def tensors_of(url: str, *_: Any, **__: Any) -> Any:
        return files.tensors(files.path(url))

    def matlab(file: Any, *_: Any, **__: Any) -> Any:
        return files.matlab(_path(file))

    def script(file: Any, *_: Any, **__: Any) -> Any:
        return files.script(_path(file))

    def not_saved(*_: Any, **__: Any) -> None:
        """LIQE would write into pyiqa's cache."""

    def without_imagenet(model: nn.Module, *_: Any, **__: Any) -> None:
        filled.skipped.append(model)

    def nothing(*_: Any, **__: Any) -> Nothing:
        return Nothing()

    def vision_model(name: str, *_: Any, **__: Any) -> nn.Module:
        from transformers import CLIPVisionConfig, CLIPVisionModel

        return CLIPVisionModel(CLIPVisionConfig(patch_size=int(name.rsplit("patch", 1)[-1])))

    for module, name, replacement in (
        ("torch", "load", tensors),
        ("torch", "save", not_saved),
        ("torch.jit", "load", script),
        ("torch.hub", "load", refused),
        ("torch.hub", "download_url_to_file", refused),
        ("torch.hub", "load_state_dict_from_url", tensors_of),
        ("scipy.io", "loadmat", matlab),
        ("pyiqa.utils.download_util", "load_file_from_url", fetched()),
        ("pyiqa.archs.clip_model", "_download", fetched()),
        ("pyiqa.archs.afineclip_model", "_download", fetched()),
        ("clip.clip", "_download", fetched()),
        ("facexlib.utils.misc", "load_file_from_url", fetched()),
        ("timm.models._builder", "load_pretrained", without_imagenet),
        ("torchvision.models._api", "load_state_dict_from_url", nothing),
        ("huggingface_hub.constants", "HF_HUB_OFFLINE", True),
    ):
        with contextlib.suppress(ImportError, AttributeError):
            owner = importlib.import_module(module)
            getattr(owner, name)
            yield owner, name, replacement
    if files.random:
        with contextlib.suppress(ImportError):
            from transformers import CLIPVisionModel

            yield CLIPVisionModel, "from_pretrained", vision_model
    yield nn.Module, "load_state_dict", _recording(nn.Module.load_state_dict, files, filled)


def _recording(original: Any, files: Files, filled: Filled) -> Any:
    def load_state_dict(self: nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(state_dict, Nothing) or (files.random and not state_dict):
            filled.skipped.append(self)
            return original(self, self.state_dict(), strict=True)
        result = original(self, state_dict, *args, **kwargs)
        filled.filled |= {id(value) for key, value in self.state_dict(keep_vars=True).items() if key in state_dict}
        return result

    return load_state_dict


def _path(file: Any) -> Path:
    return Path(file if isinstance(file, str | os.PathLike) else file.name)
