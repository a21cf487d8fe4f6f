"""A comparison on disk: one small file a result, so that a stop loses at most the cell in work.

    comparison.json      the plan, and the hashes and versions of all that went into it
    inputs/KEY.*         photograph, its undegraded original, and the start of every ascent
    cells/KEY.*          an optimised image and how it was found
    scores/KEY.json      what every model says of an image

KEY stands for all that decides a file's content, so cells of other settings, photographs or trainings of a model are
never taken for these; a folder can be extended by further models, photographs and levels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import jsonfile, tensorfile
from ..errors import UserError
from ..output import write_text

FORMAT, VERSION = "dmap-comparison", 2
INDEX = "comparison.json"


def write_json(file: Path, content: Any) -> None:
    """Write JSON as ``write_text`` does."""
    write_text(file, json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n")


def read_json(file: Path, what: str, remedy: str) -> Any:
    """Read JSON.

    Args:
        what: it is, for the error.
        remedy: what to do about a damaged one.

    Raises:
        UserError: if the file is missing or damaged.
    """
    return jsonfile.read(file, what, remedy)


@dataclass(frozen=True)
class Input:
    """A degraded photograph: the start and the reference of its ascents.

    Attributes:
        key: names its files.
        photograph: the file's name.
        degradation: of ``DEGRADATIONS``.
        start_distance: D of the start.
    """

    key: str
    photograph: str
    degradation: str
    start_distance: float


@dataclass(frozen=True)
class Cell:
    """An optimised image.

    Attributes:
        key: names its files.
        input: key of its input.
        prior: index into the plan's priors.
        level: how far it was to go from the photograph.
        weight: the prior weight that was found.
        distance: D to the photograph.
        target: the wanted D.
        matched: whether it counts: D is within the tolerance of the target, or the prior weight was fixed.
        trials: (weight, D) of every ascent of the search.
        seconds: of all of them.
        software: versions of what made it.
    """

    key: str
    input: str
    prior: int
    level: float
    weight: float
    distance: float
    target: float
    matched: bool
    trials: tuple[tuple[float, float], ...]
    seconds: float
    software: str


class Folder:
    """The files of a comparison. Reading raises ValueError with what to do.

    Args:
        path: of the folder; it is made on the first writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, must_exist: bool) -> dict[str, Any] | None:
        """The index, or None if there is none yet.

        Raises:
            UserError: if the folder holds something else, was made by another version, or must exist and does not.
        """
        if not (self.path / INDEX).exists():
            if must_exist:
                raise UserError(f"{self.path}: it holds no comparison ({INDEX}); run 'python -m dmap compare' first")
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise UserError(f"{self.path}: it is not empty and holds no comparison; choose a new folder")
            return None
        index = read_json(self.path / INDEX, "comparison", "run the comparison in a new folder")
        if not isinstance(index, dict) or index.get("format") != FORMAT:
            raise UserError(f"{self.path / INDEX}: it is not a comparison of this pack; choose another folder")
        if index.get("version") != VERSION:
            raise UserError(
                f"{self.path}: the comparison was made by another version of the pack (format "
                f"{index.get('version')!r}, this one writes {VERSION}); read it there, or choose a new folder"
            )
        return index

    def write_index(self, index: Mapping[str, Any]) -> None:
        """Write the index and make the folders."""
        for name in ("inputs", "cells", "scores"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        write_json(self.path / INDEX, {"format": FORMAT, "version": VERSION, **index})

    def write_images(self, kind: str, key: str, images: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write (3, h, w) uint8 images with facts about them as an input or a cell."""
        header = {"format": FORMAT, "version": str(VERSION), "facts": json.dumps(dict(facts), allow_nan=False)}
        tensorfile.write(self.path / kind / f"{key}.safetensors", images, header)

    def read_images(self, kind: str, key: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Images and facts, or None if they are missing, damaged or of another version: they are then made again."""
        try:
            tensors, header = tensorfile.read(self.path / kind / f"{key}.safetensors", kind, "")
            facts = jsonfile.loads(header["facts"])
        except (ValueError, KeyError):
            return None
        whole = header.get("format") == FORMAT and header.get("version") == str(VERSION) and isinstance(facts, dict)
        pictures = all(one.dtype == torch.uint8 and one.ndim == 3 and len(one) == 3 for one in tensors.values())
        return (tensors, facts) if whole and pictures and len({one.shape for one in tensors.values()}) == 1 else None

    def read_input(self, key: str) -> tuple[dict[str, Tensor], Input] | None:
        """A start's images and facts, or None as ``read_images``."""
        found = self.read_images("inputs", key)
        try:
            if found is None or not {"photograph", "start"} <= set(found[0]):
                return None
            facts = jsonfile.shaped(Input, found[1])
            return (found[0], facts) if facts.key == key else None
        except UserError:
            return None

    def read_cell(self, key: str) -> tuple[Tensor, Cell] | None:
        """An optimised image (3, h, w) and how it was found, or None as ``read_images``."""
        found = self.read_images("cells", key)
        try:
            if found is None or "image" not in found[0]:
                return None
            facts = jsonfile.shaped(Cell, {name: value for name, value in found[1].items() if name != "spec"})
            return (found[0]["image"], facts) if facts.key == key else None
        except UserError:
            return None

    def write_scores(self, key: str, scores: Mapping[str, float]) -> None:
        """Write an image's scores, by the judges' fingerprints and the names of measures."""
        write_json(self.path / "scores" / f"{key}.json", dict(scores))

    def read_scores(self, key: str) -> dict[str, float]:
        """An image's scores; empty if there are none or they are damaged."""
        try:
            content = read_json(self.path / "scores" / f"{key}.json", "scores", "")
            return jsonfile.shaped(dict[str, float], content)
        except UserError:
            return {}
