"""Prior files: mixtures of named priors, written down as small JSON files.

They hold names and weights only, never code: {"format": "dmap-prior", "version": 1, "name": ..., "mix": "mean" or
"softmin", "parts": [{"prior": name, "weight": number}, ...]}.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from .. import jsonfile
from ..errors import UserError, repeated
from ..output import write_text
from .compose import MixedPrior

FORMAT, VERSION, SUFFIX = "dmap-prior", 1, ".json"
PREFIX = "file:"
"""Before the file's name, where priors are chosen by name."""
LARGEST = 1_000_000
"""Bytes; a mixture needs a few hundred."""
MOST = 10_000
"""Entries of a folder that are looked at."""


@dataclass(frozen=True)
class PriorFile:
    """A mixture of named priors.

    Attributes:
        name: of the mixture, for people.
        mix: a mode of ``MixedPrior``.
        parts: (name of a prior, its weight); no prior files themselves, so that files cannot name each other in a ring.

    Raises:
        UserError: for an empty name, another mode, no part, a prior named twice or that is itself a file, or weights
            that are negative, not finite or all 0.
    """

    name: str
    mix: str
    parts: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise UserError("its name is empty; give it one")
        if self.mix not in MixedPrior.MODES:
            raise UserError(f"mix is {self.mix!r}, choose one of {', '.join(MixedPrior.MODES)}")
        names, weights = [name for name, _ in self.parts], [weight for _, weight in self.parts]
        if not names or len(set(names)) != len(names) or any(name.startswith(PREFIX) or not name for name in names):
            raise UserError(f"its parts are {names}; name at least one prior, each once, and no prior file")
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not sum(weights) > 0:
            raise UserError(f"its weights are {weights}; none may be negative and one must be above 0")


def write(prior: PriorFile, file: str | os.PathLike[str]) -> None:
    """Write a prior file; a reader finds the old file or the whole new one, never a part."""
    parts = [{"prior": name, "weight": weight} for name, weight in prior.parts]
    content = {"format": FORMAT, "version": VERSION, "name": prior.name, "mix": prior.mix, "parts": parts}
    write_text(file, json.dumps(content, indent=1) + "\n")


def read(file: str | os.PathLike[str]) -> PriorFile:
    """Read a prior file.

    Raises:
        UserError: if it is missing, damaged, of another format or version, or its content is refused by ``PriorFile``.
    """
    path = Path(file)
    content = jsonfile.read(path, "prior file", "write it again", LARGEST)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"prior file {path.name}: it is not a prior file of this pack")
    if content.get("version") != VERSION:
        raise UserError(f"prior file {path.name}: version {str(content.get('version'))[:20]} is not known here")
    try:
        found = jsonfile.shaped(_Content, content)
        return PriorFile(
            found["name"], found["mix"], tuple((one["prior"], float(one["weight"])) for one in found["parts"])
        )
    except UserError as error:
        raise UserError(f"prior file {path.name}: {error}; write it again") from error


class _Part(TypedDict):
    prior: str
    weight: float


class _Content(TypedDict):
    name: str
    mix: str
    parts: list[_Part]


def names(folders: Iterable[Path]) -> list[str]:
    """Names to choose from for the prior files in these folders; whatever else lies there is left out."""
    found = []
    for folder in folders:
        try:
            files = sorted(file for file in itertools.islice(folder.iterdir(), MOST) if file.suffix == SUFFIX)
        except OSError:  # it is missing, or nobody may look into it
            continue
        for file in files:
            try:
                file.name.encode()  # others cannot be shown
                read(file)
            except (ValueError, OSError):
                continue
            found.append(PREFIX + file.name)
    return list(dict.fromkeys(found))


def find(name: str, folders: Iterable[Path]) -> Path:
    """The file behind such a name, in the first folder that has it.

    Raises:
        UserError: if it has a path in it, or no folder holds it.
    """
    plain, searched = name.removeprefix(PREFIX), list(folders)
    if Path(plain).name != plain or Path(plain).suffix != SUFFIX:
        raise UserError(f"name: got {repeated(name)}; give the name of a {SUFFIX} file, without a folder")
    for folder in searched:
        if (folder / plain).is_file():
            return folder / plain
    places = ", ".join(map(str, searched)) or "no folder is known here"
    raise UserError(f"name: there is no prior file {plain!r} ({places}); put it there or choose another prior")
