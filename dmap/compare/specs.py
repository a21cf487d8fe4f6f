"""Priors as a line of text names them: registered ones, prior files, and compositions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ..errors import UserError
from ..fingerprint import checksum, digest
from ..priors import JUDGES, Prior, WeightStore, load_prior
from ..priors.compose import MixedPrior, MultiScalePrior, RobustPrior
from .plan import Plan

HELP = (
    "a prior's name (dmap_quality, pyiqa:niqe, file:NAME.json ...) or a composition: robust(NAME), "
    "multiscale(NAME), mean(0.7 NAME, 0.3 NAME), softmin(NAME, NAME); they nest"
)
_COMPOSITION = re.compile(r"(robust|multiscale|mean|softmin)\((.*)\)")
_WEIGHTED = re.compile(r"([0-9]*\.?[0-9]+)\s+(.+)")


def build(spec: str, load: Callable[[str], Prior] = load_prior) -> Prior:
    """The prior that a line of text describes, frozen.

    Args:
        spec: see ``HELP``.
        load: from a name to a prior.

    Raises:
        UserError: if the text is not understood, or a part cannot be loaded; says what to do.
    """
    return _build(spec.strip(), load).eval().requires_grad_(False)


def _build(spec: str, load: Callable[[str], Prior]) -> Prior:
    found = _COMPOSITION.fullmatch(spec)
    if found is None:
        if any(sign in spec for sign in "(),"):
            raise UserError(f"prior {spec!r}: it is not understood; give {HELP}")
        return load(spec)
    kind, parts = found.group(1), _split(found.group(2))
    if not all(parts):
        raise UserError(f"prior {spec!r}: a part of it is empty; give {HELP}")
    if kind in ("mean", "softmin"):
        weighted = [_WEIGHTED.fullmatch(part) for part in parts]
        weights = [float(match.group(1)) if match else 1.0 for match in weighted]
        names = [match.group(2) if match else part for match, part in zip(weighted, parts, strict=True)]
        return MixedPrior([_build(name, load) for name in names], weights, kind)
    if len(parts) != 1:
        raise UserError(f"prior {spec!r}: {kind} takes one prior, got {len(parts)}")
    inner = _build(parts[0], load)
    return RobustPrior(inner) if kind == "robust" else MultiScalePrior(inner)


def parts_of(spec: str, once: bool = False) -> list[str]:
    """What a composition is made of, by names: of another prior itself.

    Args:
        once: only what it names itself, though that may be a composition again.
    """
    found = _COMPOSITION.fullmatch(spec.strip())
    if found is None:
        return [spec.strip()]
    weighted = [(_WEIGHTED.fullmatch(part), part) for part in _split(found.group(2))]
    names = [match.group(2) if match else part for match, part in weighted]
    return names if once else [leaf for name in names for leaf in parts_of(name)]


def leaves(prior: Prior) -> list[str]:
    """The names of the priors that a composition is made of; of another prior its own."""
    return [
        module.info.name
        for module in prior.modules()
        if isinstance(module, Prior) and not any(isinstance(part, Prior) for part in list(module.modules())[1:])
    ]


def _split(text: str) -> list[str]:
    """At the commas that are outside of brackets."""
    parts, depth = [""], 0
    for sign in text:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def weights_print(prior: Prior) -> str:
    """Stands for a prior's weights alone, whatever its map; "" for one without any."""
    tensors = prior.state_dict()
    return digest([list(tensors), checksum(tensors.values())]) if tensors else ""


def build_all(plan: Plan, weights: Sequence[Path], device: torch.device | str) -> dict[str, Prior]:
    """A plan's priors and judges by their names in it, on a device.

    Raises:
        UserError: if one cannot be loaded, or a judge is to be climbed.
    """
    store = WeightStore(tuple(weights))

    def load(name: str) -> Prior:
        return load_prior(name, store)

    for name in plan.priors:
        if name in JUDGES:
            raise UserError(f"--priors: {name} only judges; name it with --judges, and a model to be climbed here")
    return {name: build(name, load).to(device) for name in (*plan.priors, *plan.judges)}
