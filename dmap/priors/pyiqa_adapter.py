"""Metrics of the package pyiqa as priors, if the user has installed it.

pyiqa is noncommercial (PolyForm Noncommercial and NTU S-Lab licences) and brings many packages with it, so it is
never imported before one of its metrics is asked for, and nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .base import Prior, PriorInfo
from .logistic import LogisticMap

PREFIX = "pyiqa:"
LICENCE = "noncommercial (pyiqa: PolyForm Noncommercial 1.0.0 and NTU S-Lab 1.0)"
# Metrics that can be climbed, and the sides they need. Others of pyiqa can be named as well; the gradient check of
# the node that optimises tells whether they work.
KNOWN = {
    "niqe": 96,
    "brisque": 96,
    "musiq": 32,
    "clipiqa": 32,
    "clipiqa+": 32,
    "liqe": 224,
    "liqe_mix": 224,
    "topiq_nr": 32,
    "maniqa": 224,
    "hyperiqa": 224,
    "dbcnn": 64,
    "nima": 32,
    "paq2piq": 64,
    "unique": 64,
    "tres": 224,
}


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    """Undo what importing pyiqa changes for the whole process, and keep hubs from being asked."""
    environment, gradient = dict(os.environ), torch.is_grad_enabled()
    flags = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        with warnings.catch_warnings():
            yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        torch.set_grad_enabled(gradient)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = flags


@contextlib.contextmanager
def _no_download(metric: str) -> Iterator[None]:
    """Turn an attempt to fetch weights into an error that says which file is missing."""
    import torch.hub

    def refuse(url: str, target: str, *_: Any, **__: Any) -> None:
        raise ValueError(
            f"{PREFIX}{metric}: its weights are not on this machine and nothing is downloaded here. Fetch "
            f"{url.rsplit('/', 1)[-1]} yourself and put it at {target}"
        )

    original = torch.hub.download_url_to_file
    torch.hub.download_url_to_file = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.hub.download_url_to_file = original


def _import() -> Any:
    try:
        with _quiet_import():
            import pyiqa
    except ImportError as error:
        raise ValueError(
            f"the package pyiqa cannot be imported ({error}). It is optional: install it into ComfyUI's Python with "
            "'pip install pyiqa' (it is noncommercial and may change the version of transformers), or choose "
            "dmap_quality"
        ) from error
    return pyiqa


def build(metric: str, as_loss: bool, **options: Any) -> Any:
    """A pyiqa metric on the CPU, with gradients if ``as_loss``.

    Args:
        metric: pyiqa's name of a no-reference metric.
        options: passed on to pyiqa, such as ``pretrained_model_path``.

    Raises:
        ValueError: if pyiqa is absent, does not know the metric as a no-reference one, or its weights are missing.
    """
    pyiqa = _import()
    known = pyiqa.list_models(metric_mode="NR")
    if metric not in known:
        raise ValueError(f"{PREFIX}{metric}: pyiqa has no no-reference metric of that name; it has {', '.join(known)}")
    with torch.inference_mode(False), _quiet_import(), _no_download(metric):
        try:
            return pyiqa.create_metric(metric, as_loss=as_loss, device=torch.device("cpu"), **options)
        except ValueError:
            raise
        except Exception as error:  # pyiqa and the hubs under it raise many kinds
            raise ValueError(
                f"{PREFIX}{metric}: pyiqa could not build it ({type(error).__name__}: {error}). Its weights are "
                "probably not on this machine, and nothing is downloaded here; run pyiqa once by itself to fetch them"
            ) from error


def _range(text: str) -> tuple[float, float]:
    """pyiqa writes a metric's score range as '0, 100' or '~0, ~1'."""
    parts = [part.strip(" ~[]()") for part in text.split(",")]
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        return 0.0, 100.0
    return (low, high) if high > low else (0.0, 100.0)


class PyiqaPrior(Prior):
    """A no-reference metric of pyiqa on the common scale.

    Args:
        metric: pyiqa's name.
        options: passed on to pyiqa.
    """

    def __init__(self, metric: str, **options: Any) -> None:
        built = build(metric, as_loss=True, **options)
        low, high = _range(str(getattr(built, "score_range", "")))
        better = not built.lower_better
        info = PriorInfo(f"{PREFIX}{metric}", better, (low, high), KNOWN.get(metric, 32), LICENCE, False, "pyiqa")
        super().__init__(info, LogisticMap.from_range(low, high, better))
        self.network = built.net.eval().requires_grad_(False)

    def score(self, image: Tensor) -> Tensor:
        result: Tensor = self.network(image)
        return result.reshape(len(image), -1)[:, 0]
