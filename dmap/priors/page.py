"""The page docs/priors.md, written from the catalogue and what was measured."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from . import catalogue, maps
from .catalogue import METRICS, Measurement, Metric
from .weights import PINS, file_name, known_digest

WHOLE_SIGHT = 0.99
"""Share of the pixels from which on a metric sees the whole image; some leave out a last row."""
_HEAD = """# Quality models as priors

<!-- Written by `python -m dmap measure-priors --page-only --page docs/priors.md`: change the catalogue instead. -->

Any no-reference image quality model with a gradient can be the prior. `dmap_quality` comes with the pack. The
models below come from the Python package pyiqa ({version}), which is optional: `pip install pyiqa` into ComfyUI's
Python. Its code is **noncommercial** (PolyForm Noncommercial 1.0.0 and NTU S-Lab 1.0), and so is every metric run
through it. Its collection of weights is noncommercial as well; projects that use it quote CC BY-NC-SA 4.0. The column
*licence* says what the authors of each model state in their own repository, to which it links; that binds as well.
*Unknown*: the repository states none; ask its authors.

## Where weights go

ComfyUI's model folder `iqa` (`models/iqa`, or what `extra_model_paths.yaml` names under `iqa`), by the file names
in the last table. pyiqa's own cache, torch.hub's and CLIP's are searched after it. Nothing is downloaded unless the
switch `download` of **DMAP Load IQA Prior** is on. Then a file is fetched into `models/iqa`, goes on where it
stopped, and is kept only if its SHA-256 begins with the digits that are known: the full digest where one is
published, else those in the file's name (`name-0123abcd.pth`: torch.hub's convention; for the {named} such files whose
full digest is published the two agree). Files without either are never downloaded: fetch them yourself, from the
address in the table and the error.

`.pth` and `.pt` files are read as tensors only; a pickle of anything else is refused. CLIP as OpenAI publishes it
is a TorchScript program and is opened only if its SHA-256 is that of the published file; ARNIQA's regressors are
TorchScript without a published digest and are refused. `python -m dmap convert-weights FILE ... --out models/iqa`
makes safetensors of the others, which are then preferred.

## The common scale

Every raw score goes through 100 / (1 + exp(-slope (score - midpoint))), with the slope negative where lower is
better. Where the table says *fitted*, `python -m dmap fit-maps` matched the quantiles of the model's scores on
{fitted}: a score of 80 is about that of the best fifth of them. Elsewhere the map is a guess until you
run that command where the weights are, with `--out models/iqa/{maps}`: the ends of the usual range become 2 and 98.
DMAP Load IQA Prior has `midpoint` and `slope` for another map.

## How the gradient was measured

Each metric was built, with random weights unless its own were at hand (*own weights* in the table; a metric without
weights counts as such), and asked for its gradient on an image of noise with a photograph's spectrum. It is **exact**
if the gradient is finite, not zero, and agrees with central differences to 5 %: along its own direction, along random
directions that lean towards it, and, in float64, along random directions of all pixels alike (metrics with CLIP know
only float32, which drowns those in rounding). It is **approximate** if it agrees to 75 % along its own direction and
those that lean towards it: metrics that round to 8 bit or look shape parameters up in a table. In brackets stands the
largest disagreement that was found along any of these directions. Networks of the same architecture with weights from
other data were measured once. A metric of which one score takes more than {slow} CPU-seconds is too slow, whatever its
gradient. Models that are never loaded were tried as well, with stand-ins for what is missing; what could not be built
here is not measured, and the table says why. `python -m dmap measure-priors --weights DIR` repeats it all; DIR may hold
weight files.

DMAP Optimize asks the same question about your image before it climbs, in float32, and names the reason if it refuses.
The smallest side is the smallest of {sizes} px that gave a finite score.

{sight}
Batches are scored image by image. Priors run in float32 whatever the host's precision.
"""


def markdown(measured: Mapping[str, Measurement]) -> str:
    """The whole page."""
    found = [(metric, measured[metric.name]) for metric in METRICS.values() if metric.name in measured]
    usable = sum(measurement.usable for _, measurement in found)
    parts = [
        _HEAD.format(
            version=catalogue.PYIQA,
            named=_named(),
            sizes=_sizes(),
            slow=_slow(),
            sight=_sight(found),
            fitted=_fitted(),
            maps=maps.NAME,
        ),
        f"\n## The metrics\n\n{usable} of {len(METRICS)} can be climbed; they come first. Of the others those that are "
        "loaded at all can still judge.\n",
        _table(
            (
                *("name", "model; data", "judges", "better", "range", "50 at; slope", "takes in", "sees"),
                *("side", "parameters", "as a prior", "weight files", "licence"),
            ),
            [_row(*row) for row in sorted(found, key=lambda row: not row[1].usable)],
        ),
        "\n## Weight files\n",
        _table(("file", "SHA-256 begins with"), _file_rows(found)),
    ]
    return "\n".join(parts)


def _fitted() -> str:
    """What the maps that the pack carries were fitted to."""
    sources = {one.source for name, one in maps.shipped().items() if name.startswith("pyiqa:")}
    return "; ".join(sorted(sources)) or "photographs"


def _named() -> int:
    """How many pinned files carry the first digits of their digest in their name."""
    return sum(f"-{digest[:8]}." in name for name, digest in PINS.items())


def _sizes() -> str:
    from .measure import SIZES

    return ", ".join(map(str, SIZES))


def _slow() -> int:
    from .measure import SLOW

    return SLOW


def _sight(found: Iterable[tuple[Metric, Measurement]]) -> str:
    """What is known of the pixels that metrics see, in sentences."""
    from .measure import SUPPORT_SIZES

    known = [(metric.name, one.sees) for metric, one in found if one.sees]
    partial = [
        f"`{name}` {' and '.join(f'{share:.0%}' for share in sees)}" for name, sees in known if min(sees) < WHOLE_SIGHT
    ]
    whole = [f"`{name}`" for name, sees in known if min(sees) >= WHOLE_SIGHT]
    sizes = " and ".join(map(str, SUPPORT_SIZES))
    lines = [
        "A metric that takes a fixed number of crops leaves gaps between them, in which the prior neither sees nor "
        f"mends anything. Measured as the share of the pixels of squares of {sizes} px that the gradient reaches: "
        f"{', '.join(partial) or 'none leaves gaps'}.",
        f"The whole image is seen by {', '.join(whole)}." if whole else "",
        "The column *sees* has the figures; a dash means that it was not measured. Use DMAP Robust Prior, whose shifts "
        "move the grid, or work at a smaller size.",
    ]
    return textwrap.fill(" ".join(line for line in lines if line), 118, break_long_words=False, break_on_hyphens=False)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _row(metric: Metric, found: Measurement) -> tuple[Any, ...]:
    low, high = metric.scale
    usual = catalogue.score_map(metric)
    return (
        f"`pyiqa:{metric.name}`",
        metric.source,
        metric.judges,
        "higher" if metric.higher_better else "lower",
        f"{low:g} to {high:g}",
        f"{usual.midpoint:g}; {usual.slope:.3g}{', fitted' if f'pyiqa:{metric.name}' in maps.shipped() else ''}",
        metric.intake,
        " / ".join(f"{share:.0%}" for share in found.sees) or "-",
        f"{found.min_size} px" if found.min_size else "-",
        "-" if found.parameters is None else f"{found.parameters / 1e6:.1f} M" if found.parameters else "none",
        _status(metric, found),
        ", ".join(dict.fromkeys(found.file_names)) or "-",
        _licence(metric),
    )


def _status(metric: Metric, found: Measurement) -> str:
    weights = "; own weights" if found.real else ""
    if not found.usable:
        return f"no: {found.status}{weights}" + (f"; {metric.note}" if metric.note else "")
    disagreement = max(value for value in (found.own, found.leaning, found.random) if value is not None)
    kind = "exact" if found.status == catalogue.USABLE else "approximate"
    return f"**yes**, {kind} ({disagreement:.1g}{weights})"


def _licence(metric: Metric) -> str:
    text, repository = catalogue.licence_of(metric.name)
    return f"[{text}](https://{repository})" if repository else text


def _file_rows(found: Iterable[tuple[Metric, Measurement]]) -> list[tuple[Any, ...]]:
    addresses = dict.fromkeys(url for _, measurement in found for url in measurement.files)
    return [
        (f"[{file_name(url)}]({url})", f"`{known_digest(url)}`" if known_digest(url) else "not published")
        for url in sorted(addresses, key=lambda url: file_name(url).lower())
    ]
