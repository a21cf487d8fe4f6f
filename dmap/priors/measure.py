"""Which of pyiqa's metrics can be climbed: every one is built, with random weights where the real ones are not at hand,
and asked for its gradient."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib.metadata
import io
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..output import write_text
from .base import check_report, gradient_report
from .catalogue import APPROXIMATE, METRICS, PYIQA, USABLE, Measurement, Metric
from .logistic import IdentityMap
from .pyiqa_adapter import PyiqaPrior
from .random_weights import RandomFiles
from .weights import NOWHERE, WeightStore

SIZES = (16, 32, 64, 96, 128, 160, 192, 224, 256, 320, 384)
"""Sides to try, in pixels."""
EXACT = 0.05
"""Relative disagreement with finite differences up to which a gradient is called exact."""
SLOW = 10
"""CPU-seconds that one score may take; an ascent needs hundreds of scores and gradients, each dearer than a score."""
DIRECTIONS = 2
"""Random directions of each kind to try; none where a score is too slow."""
SEED = 0
SUPPORT_SIZES = (512, 1024)
"""Sides in pixels of the images on which it is measured what a metric sees."""
_NVIDIA = "it needs an NVIDIA GPU: its code puts network and crops there whatever the device"
_SHORT = {
    "has no gradient": "no gradient",
    "zero everywhere": "no gradient: it is zero everywhere",
    "deepcopy": "no gradient: it copies the image out of the graph",
    "call numpy()": "no gradient: it takes the image out of the graph",
    "disagrees with": "its gradient disagrees with finite differences",
    "no attribute 'vision_model'": "it cannot be built: pyiqa asks CLIPVisionModel for a part named "
    "vision_model, which it does not have in transformers {transformers}",
    "dataset_name must be": "it asks for a second set",
    "only integer tensors": "it takes no single image",
    "caption_list is None": "it scores nothing without a caption",
    "Can't load image processor": "it cannot be built offline: its processor and weights are on a hub",
    "NVIDIA": _NVIDIA,
    "CUDA": _NVIDIA,
}
"""Words in an error -> what the table says; a package's name in braces stands for its version."""


def synthetic_image(size: int, seed: int = SEED) -> Tensor:
    """Something like a photograph: colour noise with the 1/f spectrum of photographs, (1, 3, size, size) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft2(torch.randn(1, 3, size, size, generator=generator, dtype=torch.float64))
    rows, columns = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
    image = torch.fft.irfft2(spectrum / (rows**2 + columns**2).sqrt().clamp(min=1 / size), s=(size, size))
    return (0.5 + 0.15 * image / image.std()).clamp(0.02, 0.98)


def measure(metric: Metric, known: dict[Any, Measurement], real: WeightStore = NOWHERE) -> Measurement:
    """Build one metric and ask for its gradient.

    Args:
        metric: an entry of the catalogue.
        known: results by architecture, used and filled: data sets change a network's weights, not its gradient's truth.
        real: weight files that are found there are used in place of random ones.
    """
    found = _measure(metric, known, real)
    if not metric.excluded:
        return found
    return dataclasses.replace(found, status=f"{metric.excluded} (tried on stand-ins: {found.status})")


def _measure(metric: Metric, known: dict[Any, Measurement], real: WeightStore) -> Measurement:
    files, seeds = RandomFiles(SEED, real), torch.random.get_rng_state()
    torch.manual_seed(SEED)
    try:
        prior = PyiqaPrior(metric.name, files, IdentityMap(), **metric.quick)
    except ValueError as error:
        return Measurement(_reason(error))
    finally:
        torch.random.set_rng_state(seeds)
    parameters = sum(p.numel() for p in prior.parameters())
    shapes = tuple((key, tuple(value.shape)) for key, value in prior.state_dict().items())
    architecture = (type(prior.network).__name__, shapes, metric.intake)
    if architecture not in known or not shapes:
        with contextlib.redirect_stdout(io.StringIO()):  # some print what they are given
            known[architecture] = _gate(prior)
    return dataclasses.replace(
        known[architecture],
        parameters=parameters,
        files=tuple(dict.fromkeys(files.urls)),
        real=not files.invented,
    )


def _gate(prior: PyiqaPrior) -> Measurement:
    reason, smallest, seconds = "", None, 0.0
    for size in SIZES:
        started = time.process_time()
        try:
            with torch.no_grad():
                finite = bool(torch.isfinite(prior.score(synthetic_image(size).float())).all())
        except Exception as error:  # whatever a metric raises for an image too small for it
            reason = _reason(error)
            continue
        if finite:
            smallest, seconds = size, time.process_time() - started
            break
    if smallest is None:
        return Measurement(reason or "its score is not finite")
    prior.info = dataclasses.replace(prior.info, min_size=smallest)
    # Handcrafted metrics take statistics over blocks and need several.
    image = synthetic_image(max(smallest, 64 if list(prior.parameters()) else 192))
    found = _gradient(prior, image, directions=0 if seconds > SLOW else DIRECTIONS)
    if seconds > SLOW:
        slow = f"too slow: one score takes {seconds:.0f} CPU-seconds at {smallest} px"
        found = dataclasses.replace(found, status=f"{slow} (its gradient: {found.status})")
    return dataclasses.replace(found, min_size=smallest)


def support(metric: Metric, real: WeightStore = NOWHERE) -> tuple[float, ...]:
    """Which share of an image's pixels a metric's gradient reaches, for each of ``SUPPORT_SIZES``.

    With all the crops that it takes, not the few of ``Metric.quick``: crops that do not grow in number with the image
    leave gaps. A pixel counts as seen if the gradient of any of its channels is not zero.

    Raises:
        UserError: if it cannot be built.
    """
    seeds = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    try:
        prior = PyiqaPrior(metric.name, RandomFiles(SEED, real), IdentityMap())
    finally:
        torch.random.set_rng_state(seeds)
    shares = []
    for size in SUPPORT_SIZES:
        image = synthetic_image(size).float().requires_grad_(True)
        (gradient,) = torch.autograd.grad(prior.score(image).sum(), image)
        shares.append(round(float((gradient != 0).any(dim=1).double().mean()), 3))
    return tuple(shares)


def _gradient(prior: PyiqaPrior, image: Tensor, directions: int) -> Measurement:
    try:
        try:
            report = gradient_report(prior.double(), image, directions, SEED)
        except RuntimeError:  # a layer that knows float32 only
            report = gradient_report(prior.float(), image.float(), directions, SEED)
        check_report(prior, report)
    except Exception as error:  # whatever a metric raises
        return Measurement(_reason(error))
    own, leaning, random = (
        None if value is None else float(f"{value:.1e}") for value in (report.own, report.leaning, report.random)
    )
    exact = max(value for value in (own, leaning, random) if value is not None) <= EXACT
    return Measurement(USABLE if exact else APPROXIMATE, own=own, leaning=leaning, random=random)


def _reason(error: Exception) -> str:
    """One short line; the prior's name is in the row already."""
    text = " ".join(str(error).split()) or type(error).__name__
    for words, short in _SHORT.items():
        if words in text:
            return short.format(transformers=importlib.metadata.version("transformers"))
    if "needs the package" in text:
        return text[text.index("needs the package") :].split(",")[0]
    return text.split(": ", 1)[-1][:160]


def measure_all(
    names: Iterable[str], file: Path, tell: Callable[[str], None], real: WeightStore = NOWHERE, sight: bool = False
) -> None:
    """Measure metrics and write each result at once; what the file holds of others is kept.

    Args:
        names: of the catalogue.
        file: JSON of results.
        tell: told of every result.
        real: weight files that are found there are used in place of random ones.
        sight: measure only ``support``, of metrics that are known to be usable, and keep all else.

    Raises:
        UserError: for a name that the catalogue does not have.
    """
    wanted = list(names)
    if unknown := [name for name in wanted if name not in METRICS]:
        raise UserError(f"the catalogue has no metric {', '.join(unknown)}")
    rows: dict[str, Any] = {}
    if file.exists():
        rows = json.loads(file.read_text(encoding="utf-8"))["metrics"]
    known: dict[Any, Measurement] = {}
    for name in wanted:
        if sight:
            if rows.get(name, {}).get("status") not in (USABLE, APPROXIMATE):
                continue
            rows[name]["sees"] = list(support(METRICS[name], real))
            tell(f"{name}: sees {', '.join(f'{share:.1%}' for share in rows[name]['sees'])}")
        else:
            result = measure(METRICS[name], known, real)
            measured = {
                key: value
                for key, value in dataclasses.asdict(result).items()
                if value not in (None, ()) and value is not False
            }
            sees = rows.get(name, {}).get("sees")
            rows[name] = {**measured, "sees": sees} if sees else measured
            tell(f"{name}: {result.status}")
        content = {"pyiqa": PYIQA, "metrics": {key: rows[key] for key in METRICS if key in rows}}
        write_text(file, json.dumps(content, indent=1) + "\n")
        gc.collect()
