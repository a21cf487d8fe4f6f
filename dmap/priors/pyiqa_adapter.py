"""Metrics of the package pyiqa as priors, if the user has installed it.

pyiqa is noncommercial (PolyForm Noncommercial and NTU S-Lab licences) and brings many packages with it, so it is
never imported before one of its metrics is asked for. Its files are found and read by this pack, not by pyiqa.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from . import catalogue
from .base import Prior, PriorInfo
from .catalogue import METRICS, Metric
from .containment import Files, files_from, process_state_kept
from .logistic import ScoreMap
from .stored import StoredFiles
from .weights import NOWHERE, WeightStore

PREFIX = "pyiqa:"


def installed() -> bool:
    """Whether the package is there; it is not imported."""
    return importlib.util.find_spec("pyiqa") is not None


def names(store: WeightStore = NOWHERE) -> list[str]:
    """Names of the metrics that can be climbed; first those whose weights are on this machine, if pyiqa is."""
    found = {name: entry for name, entry in catalogue.measured().items() if entry.usable}
    here = [name for name, entry in found.items() if installed() and all(store.find(file) for file in entry.file_names)]
    return [PREFIX + name for name in (*here, *(name for name in found if name not in here))]


def load(name: str, store: WeightStore) -> PyiqaPrior:
    """The metric of that name, as ``names`` has them, or one that can judge but not be climbed.

    Raises:
        UserError: as ``PyiqaPrior``, or if the catalogue knows that it scores no image by itself.
    """
    metric = name.removeprefix(PREFIX)
    if metric in METRICS and METRICS[metric].excluded:
        raise UserError(f"{name}: it cannot be a prior: {METRICS[metric].excluded}")
    return PyiqaPrior(metric, StoredFiles(store))


def _import() -> Any:
    try:
        with process_state_kept():
            import pyiqa
    except ImportError as error:
        raise UserError(
            f"the package pyiqa cannot be imported ({error}). It is optional: install it into ComfyUI's Python with "
            "'pip install pyiqa' (it is noncommercial and may change the version of transformers), or choose "
            "dmap_quality"
        ) from error
    return pyiqa


def build(metric: str, files: Files, **options: Any) -> nn.Module:
    """The network of a pyiqa metric, on the CPU.

    Args:
        metric: pyiqa's name of a no-reference metric.
        files: where its weights come from.
        options: passed on to pyiqa.

    Raises:
        UserError: if pyiqa is absent, does not know the metric as a no-reference one, needs a package that is missing,
            or its weights are missing or do not fit.
    """
    pyiqa = _import()
    known = pyiqa.list_models(metric_mode="NR")
    if metric not in known:
        raise UserError(f"{PREFIX}{metric}: pyiqa has no no-reference metric of that name; it has {', '.join(known)}")
    with torch.inference_mode(False), torch.no_grad(), process_state_kept(), files_from(files) as filled:
        try:
            network: nn.Module = pyiqa.create_metric(metric, as_loss=True, device=torch.device("cpu"), **options).net
            if not files.random:
                filled.check(network)
        except ValueError as error:
            raise UserError(f"{PREFIX}{metric}: {error}") from error
        except ModuleNotFoundError as error:
            raise UserError(
                f"{PREFIX}{metric}: it needs the package {error.name}, which is missing; 'pip install pyiqa' without "
                "--no-deps brings it"
            ) from error
        except Exception as error:  # pyiqa and what is under it raise many kinds
            if isinstance(files, StoredFiles) and error is files.stopped:
                raise
            raise UserError(_unfit(metric, files, error)) from error
    return network.eval().requires_grad_(False)


def _unfit(metric: str, files: Files, error: Exception) -> str:
    used = ", ".join(str(path) for path in files.used.values()) if isinstance(files, StoredFiles) else ""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    if used:
        return f"{PREFIX}{metric}: the weights in {used} do not fit it ({reason}); fetch them again from their source"
    return f"{PREFIX}{metric}: pyiqa could not build it ({reason}); see whether 'pip install -U pyiqa' helps"


class PyiqaPrior(Prior):
    """A no-reference metric of pyiqa on the common scale.

    Args:
        metric: pyiqa's name.
        files: where its weights come from; by default the caches of pyiqa and torch.hub.
        score_map: to the common scale; by default the catalogue's.
        options: passed on to pyiqa.

    Raises:
        UserError: as ``build``.
    """

    def __init__(
        self, metric: str, files: Files | None = None, score_map: ScoreMap | None = None, **options: Any
    ) -> None:
        facts = METRICS.get(metric) or Metric(metric, "pyiqa", (0, 1), "unknown")
        network = build(metric, files or StoredFiles(NOWHERE), **options)
        found = catalogue.measured().get(metric)
        info = PriorInfo(
            name=f"{PREFIX}{metric}",
            higher_better=facts.higher_better,
            scale=facts.scale,
            min_size=found.min_size if found is not None and found.min_size else 32,
            licence=f"{catalogue.LICENCE}; authors: {catalogue.licence_of(metric)[0]}",
            commercial_use=False,
            source=facts.source,
        )
        super().__init__(info, score_map or catalogue.score_map(facts))
        self.network = network
        # Some keep CLIP in a list, where no one who moves or counts modules would find it.
        self.hidden = nn.ModuleList(
            module
            for value in vars(network).values()
            if isinstance(value, list)
            for module in value
            if isinstance(module, nn.Module)
        ).requires_grad_(False)

    def score(self, image: Tensor) -> Tensor:
        # One by one: some metrics take one image only, others mix a batch. A copy, since some write into the image.
        scores = [self._one(one.clone()) for one in image.unsqueeze(1)]
        return torch.cat(scores)

    def _one(self, image: Tensor) -> Tensor:
        raw = self.network(image)
        value: Tensor = raw[0] if isinstance(raw, tuple | list) else raw
        return value.reshape(-1)[:1]
