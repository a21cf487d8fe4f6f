"""What is made of a comparison beside its results: a ranking, a simulation, a mixture; JSON files for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .folder import Folder, read_json, write_json
from .results import Results


@dataclass(frozen=True)
class Part:
    """A kind of such a file.

    Attributes:
        place: where the report looks for it in the comparison's folder.
        version: of its format, ``dmap-`` and the kind's name.
        command: that makes it.
    """

    place: str
    version: int
    command: str


PARTS = {
    "ranking": Part("study/ranking.json", 2, "python -m dmap rank"),
    "simulation": Part("study/study_simulation.json", 1, "python -m dmap study --simulate"),
    "mixture": Part("mixture.json", 1, "python -m dmap propose-prior"),
}


def file_name(kind: str) -> str:
    """The usual name of such a file."""
    return Path(PARTS[kind].place).name


def write(kind: str, content: Mapping[str, Any], comparison: str, file: Path) -> None:
    """Write such a file.

    Args:
        kind: of ``PARTS``.
        content: as JSON holds it.
        comparison: ``Results.identity`` of what it was made of.
    """
    header = {"format": f"dmap-{kind}", "version": PARTS[kind].version, "comparison": comparison}
    write_json(file, {**header, **content})


def read(kind: str, file: Path, results: Results) -> dict[str, Any]:
    """Read such a file.

    Raises:
        UserError: if it is missing, damaged, something else, of another version, or was made of other results.
    """
    part = PARTS[kind]
    content = read_json(file, kind, f"make it again with '{part.command}'")
    if not isinstance(content, dict) or content.get("format") != f"dmap-{kind}":
        raise UserError(f"{kind} {file.name}: it is no {kind}; name a file that '{part.command}' wrote")
    if content.get("version") != part.version:
        raise UserError(f"{kind} {file.name}: another version of the pack made it; make it again with '{part.command}'")
    if content.get("comparison") != results.identity:
        raise UserError(
            f"{kind} {file.name}: it was made of other results than {', '.join(results.names)} with these weights and "
            f"settings; make it again with '{part.command}'"
        )
    return content


def collect(
    results: Results, folder: Folder, named: Mapping[str, Path | None] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """All parts that a report of these results can show.

    Args:
        named: kind -> file, where another than the usual one is wanted.

    Returns:
        The contents by kind, None where there is none, and why usual files were left out.

    Raises:
        UserError: if a named file cannot be used.
    """
    found: dict[str, Any] = {}
    left_out: list[str] = []
    for kind, part in PARTS.items():
        chosen = (named or {}).get(kind)
        found[kind] = None
        if chosen is not None:
            found[kind] = read(kind, chosen, results)
        elif (folder.path / part.place).is_file():
            try:
                found[kind] = read(kind, folder.path / part.place, results)
            except ValueError as error:
                left_out.append(str(error))
    return found, left_out
