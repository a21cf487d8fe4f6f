"""Which photographs are meant, and where their results go."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError
from ..image.files import SUFFIXES, WRITABLE

LIST = "@"
"""Before the name of a file that names photographs, one a line."""


@dataclass(frozen=True)
class Pair:
    """A photograph and its result.

    Attributes:
        source: the photograph's file.
        file: its name in the report: relative to the folder that was named, with "/".
        output: the result's name, relative to the folder of results.
    """

    source: Path
    file: str
    output: str


@dataclass
class Listing:
    """What is to be done.

    Attributes:
        pairs: in the order of their names.
        problems: (file, reason) of those that cannot be done, whatever they hold.
        passed_over: number of files in folders that are no photographs by their names.
    """

    pairs: list[Pair] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    passed_over: int = 0


def is_many(inputs: Sequence[str], out: Path) -> bool:
    """Whether a command means a folder of results rather than one file."""
    first = inputs[0]
    one = len(inputs) == 1 and (os.path.lexists(first) or not (_is_pattern(first) or first.startswith(LIST)))
    return not one or os.path.isdir(first) or os.path.isdir(out)  # which raise nothing, whatever the name


def _is_pattern(text: str) -> bool:
    return glob.has_magic(text)


def find(inputs: Sequence[str], out: Path, suffix: str = "") -> Listing:
    """Photographs and the names of their results.

    Args:
        inputs: folders, which are searched through and through; files; patterns such as "scans/**/*.png"; names of
            lists with "@" in front.
        out: folder of results; what lies in it is passed over.
        suffix: of the results, such as ".png"; empty keeps each photograph's, or .png where it cannot be written.

    Raises:
        UserError: if an input does not exist, nothing is found, or a result would replace a photograph.
    """
    listing, named = Listing(), list(_named(inputs))
    folders = [Path(one) for one in named if Path(one).is_dir()]
    files = [Path(one) for one in named if not Path(one).is_dir()]
    found: list[tuple[Path, Path]] = []  # file, and its name relative to what was named
    for folder in folders:
        if os.path.realpath(folder) == os.path.realpath(out):
            raise UserError(f"{out}: the results would lie on the photographs; choose another folder")
        for file in _walk(folder, out):
            if file.suffix.lower() in SUFFIXES:
                found.append((file, file.relative_to(folder)))
            else:
                listing.passed_over += 1
    if files:
        base = os.path.commonpath([file.absolute().parent for file in files])
        found += [(file, Path(os.path.relpath(file.absolute(), base))) for file in files]
    if not found:
        raise UserError(f"{', '.join(inputs)}: there is no photograph ({', '.join(sorted(SUFFIXES))})")
    taken: dict[str, str] = {}
    sources = {os.path.realpath(file) for file, _ in found}
    for file, relative in sorted(set(found), key=lambda one: one[1].as_posix()):
        kept = file.suffix if file.suffix.lower() in WRITABLE else ".png"
        output, name = relative.with_suffix(suffix or kept).as_posix(), relative.as_posix()
        if os.path.realpath(out / output) in sources:
            raise UserError(f"{out / output}: this result would replace a photograph; choose another folder")
        if output in taken:
            listing.problems.append((name, f"its result would be {output}, as that of {taken[output]} is"))
            continue
        taken[output] = name
        listing.pairs.append(Pair(file, name, output))
    return listing


def _named(inputs: Sequence[str]) -> Iterator[str]:
    """Files and folders, with lists and patterns replaced by what they stand for."""
    for text in inputs:
        if os.path.lexists(text):
            yield text
        elif text.startswith(LIST):
            try:
                lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{text[1:]}: the list cannot be read ({error})") from error
            yield from (line.strip() for line in lines if line.strip())
        elif _is_pattern(text):
            found = sorted(one for one in glob.glob(text, recursive=True) if not os.path.isdir(one))
            if not found:
                raise UserError(f"{text}: no file has such a name")
            yield from found
        else:
            raise UserError(f"{text}: there is no such file or folder")


def _walk(folder: Path, out: Path) -> Iterator[Path]:
    """All files but hidden ones, ``out`` and, lest it never ends, what links to folders lead to."""
    result = os.path.realpath(out)
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(
            one for one in folders if not one.startswith(".") and os.path.realpath(os.path.join(place, one)) != result
        )
        yield from (Path(place) / one for one in sorted(files) if not one.startswith("."))
