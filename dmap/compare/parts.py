"""What is made of a comparison beside its results: a ranking, a simulation, a mixture; JSON files for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import jsonfile
from ..errors import UserError
from .folder import Folder, read_json, write_json
from .results import Results
from .shapes import SHAPES


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
    "ranking": Part("study/ranking.json", 3, "python -m dmap rank"),
    "simulation": Part("study/study_simulation.json", 2, "python -m dmap study --simulate"),
    "mixture": Part("mixture.json", 2, "python -m dmap propose-prior"),
}


def file_name(kind: str) -> str:
    """The usual name of such a file."""
    return Path(PARTS[kind].place).name


def write(kind: str, content: Mapping[str, Any], method: str, models: Mapping[str, str], file: Path) -> None:
    """Write such a file.

    Args:
        kind: of ``PARTS``.
        content: as JSON holds it.
        method: ``Results.method`` of what it was made of.
        models: fingerprints of the models that it is about, by name.
    """
    header = {"format": f"dmap-{kind}", "version": PARTS[kind].version, "comparison": method, "of": dict(models)}
    write_json(file, {**header, **content})


def read(kind: str, file: Path, results: Results) -> dict[str, Any]:
    """Read such a file.

    Raises:
        UserError: if it is missing, damaged, something else, of another version, or was made of other models, weights
            or settings.
    """
    part = PARTS[kind]
    content = read_json(file, kind, f"make it again with '{part.command}'")
    if not isinstance(content, dict) or content.get("format") != f"dmap-{kind}":
        raise UserError(f"{kind} {file.name}: it is no {kind}; name a file that '{part.command}' wrote")
    if content.get("version") != part.version:
        raise UserError(f"{kind} {file.name}: another version of the pack made it; make it again with '{part.command}'")
    try:
        jsonfile.shaped(SHAPES[kind], content)
        if kind == "ranking":
            _check_lengths(content)
    except UserError as error:
        raise UserError(f"{kind} {file.name}: it is damaged ({error}); make it again with '{part.command}'") from error
    if not _fits(content, results):
        raise UserError(
            f"{kind} {file.name}: it was made of other results than {', '.join(results.names)} with these weights and "
            f"settings; make it again with '{part.command}'"
        )
    return content


def _check_lengths(ranking: Mapping[str, Any]) -> None:
    """Raise UserError unless a ranking's lists have one entry a model."""
    for name, one in {"overall": ranking["overall"], **ranking["degradations"]}.items():
        sizes = {key: len(values) for key, values in one.items() if isinstance(values, list)}
        if {size for key, size in sizes.items() if key != "above"} != {len(one["models"])}:
            raise UserError(f"the lists of {name} have different lengths")


def _fits(content: Mapping[str, Any], results: Results) -> bool:
    """Whether it was made by the same method of models that are all among these: models may be added later."""
    models = content.get("of")
    if not models:  # made of a study key of an earlier version, which knows all models together only
        return content.get("comparison") == results.identity
    if not isinstance(models, dict) or content.get("comparison") != results.method:
        return False
    return all(results.prints.get(name) == value for name, value in models.items())


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
