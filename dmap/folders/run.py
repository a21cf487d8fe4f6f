"""A folder's run: what is finished is passed over, the rest goes to an executor, and each result into the report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..batch import Executor, Journal, Shard
from ..errors import UserError
from ..fingerprint import digest, of_file
from ..image.files import size_of
from ..output import PARTS
from .listing import Listing, Pair
from .work import Line, RestoreRecipe

ALL = Shard()


@dataclass(frozen=True)
class Options:
    """How a folder is worked through.

    Attributes:
        shard: the part of the photographs that this run does.
        batch: photographs of one size that share an ascent, at most.
        retry_failed: whether those that failed before are tried again.
        overwrite: whether results that these settings did not make are replaced.

    Raises:
        UserError: for a batch below 1.
    """

    shard: Shard = ALL
    batch: int = 1
    retry_failed: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UserError(f"--batch: got {self.batch}, at least 1 is needed")


@dataclass(frozen=True)
class Event:
    """Something to tell.

    Attributes:
        kind: "plan" (once, before any work), "begin" (a photograph), "note" (what its work is at) or "line" (it ended).
        done: photographs that ended in this run.
        total: photographs that this run is to do; finished ones are none of them.
        failed: of those that ended.
        file: the photograph; empty for "plan".
        text: of a note, or of the plan.
        line: of the report.
    """

    kind: str
    done: int
    total: int
    failed: int
    file: str = ""
    text: str = ""
    line: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Summary:
    """What became of the photographs.

    Attributes:
        done: restored now.
        skipped: that were finished already.
        failed: file -> error, now or, for those that were not tried again, before.
        others: that belong to other shards.
    """

    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    others: int = 0


def restore_all(
    listing: Listing,
    out: Path,
    recipe: RestoreRecipe,
    executor: Executor,
    options: Options = Options(),
    tell: Callable[[Event], None] = lambda _: None,
) -> Summary:
    """Restore photographs into a folder; a second call goes on where the first was stopped, however it was stopped.

    Args:
        listing: of ``find``.
        out: folder of results; it is made if need be.
        recipe: how each is restored.
        executor: where.
        options: which, and whether finished ones are done again.
        tell: is told of each step; may raise to stop.

    Raises:
        UserError: if another run works on the folder, it cannot be written, or results would be replaced.
        OSError: if the disk is full; what is finished by then is kept.
    """
    summary = Summary()
    pairs = [pair for pair in listing.pairs if pair.file in options.shard]
    summary.others = len(listing.pairs) - len(pairs)
    made_by = recipe.describe()
    settings = digest(made_by)
    with Journal(out, options.shard) as journal, _swept(out, pairs, options.shard):
        todo = list(_todo(pairs, journal, settings, options, summary, out))
        journal.write({"run": made_by, "digest": settings, "time": time.time(), "photographs": len(todo)})
        for file, error in listing.problems:
            if file in options.shard:
                journal.write({"file": file, "status": "failed", "error": error, "time": time.time()})
                summary.failed[file] = error
        notes = [f"{journal.damaged} damaged lines of the report are passed over"] if journal.damaged else []
        notes += [journal.unlocked] if journal.unlocked else []
        tell(Event("plan", 0, len(todo), 0, text="; ".join([_plan(todo, summary, listing), *notes])))
        failed, ended = 0, 0

        def watch(task: Sequence[Mapping[str, str]], text: str) -> None:
            for item in task if text == "" else ():
                journal.begin(item["output"])
            tell(Event("note" if text else "begin", ended, len(todo), failed, task[0]["file"], text))

        tasks = _tasks(todo, out, options.batch)
        with contextlib.closing(executor.run(recipe, tasks, watch)) as outcomes:
            for outcome in outcomes:
                failure = outcome.failure
                lines: list[Line] = outcome.result or [
                    {"file": item["file"], "output": item["output"], "status": "failed", "error": failure.text}
                    for item in outcome.task
                    if failure is not None
                ]
                for line in lines:
                    if line.pop("hopeless", False):
                        raise OSError(f"{out}: no more results can be written ({line['error']}); the run is stopped")
                    journal.write({**line, "digest": settings, "time": time.time()})
                    ended, failed = ended + 1, failed + (line["status"] == "failed")
                    if line["status"] == "failed":
                        summary.failed[line["file"]] = line["error"]
                    else:
                        summary.done += 1
                    tell(Event("line", ended, len(todo), failed, line["file"], line=line))
    return summary


def _todo(
    pairs: Sequence[Pair], journal: Journal, settings: str, options: Options, summary: Summary, out: Path
) -> Iterator[Pair]:
    """What is neither finished nor known to fail. Raises UserError if results of another making are in the way."""
    foreign = []
    for pair in pairs:
        line, exists = journal.lines.get(pair.file, {}), os.path.lexists(out / pair.output)
        same = line.get("digest") == settings and _same_input(pair.source, line.get("input"))
        if same and line.get("status") == "done" and exists and line.get("output") == pair.output:
            summary.skipped += 1
        elif same and line.get("status") == "failed" and not options.retry_failed:
            summary.failed[pair.file] = str(line.get("error"))
        else:
            made = line.get("digest", settings) == settings and pair.output in journal.begun
            if exists and not made and not options.overwrite:
                foreign.append(pair.output)
            yield pair
    if foreign:
        some = ", ".join(foreign[:3]) + (" ..." if len(foreign) > 3 else "")
        raise UserError(
            f"{out}: {len(foreign)} results are there that this command did not make, or made with other settings or "
            f"weights ({some}); choose another folder, or add --overwrite"
        )


def _same_input(source: Path, known: Any) -> bool:
    """Whether a photograph's file is the one that a line is about: by size and time, else by its bytes.

    Of one that was lost with its worker nothing is known; it counts as the same.
    """
    if not isinstance(known, dict):
        return True
    try:
        there = os.stat(source)
        if there.st_size != known.get("size"):
            return False
        return there.st_mtime_ns == known.get("mtime_ns") or of_file(source) == known.get("sha256")
    except OSError:
        return False


def _tasks(todo: Sequence[Pair], out: Path, batch: int) -> list[list[dict[str, str]]]:
    """Items of one size together, at most ``batch`` of them."""
    items = [
        {"source": str(pair.source), "target": str(out / pair.output), "file": pair.file, "output": pair.output}
        for pair in todo
    ]
    if batch == 1:
        return [[item] for item in items]
    groups: dict[tuple[int, int] | str, list[dict[str, str]]] = {}
    for item in items:
        try:
            key: tuple[int, int] | str = size_of(item["source"])
        except UserError:
            key = item["file"]  # it fails by itself
        groups.setdefault(key, []).append(item)
    return [group[at : at + batch] for group in groups.values() for at in range(0, len(group), batch)]


@contextlib.contextmanager
def _swept(out: Path, pairs: Sequence[Pair], shard: Shard) -> Iterator[None]:
    """Without the beginnings of files whose writing was cut off, before and after; other shards may be at work."""

    def sweep() -> None:
        for folder in {(out / pair.output).parent for pair in pairs} if shard.count == 1 else ():
            for file in folder.glob(PARTS):
                file.unlink(missing_ok=True)

    sweep()
    try:
        yield
    finally:
        sweep()


def _plan(todo: Sequence[Pair], summary: Summary, listing: Listing) -> str:
    parts = [f"{len(todo)} photographs to restore"]
    parts += [f"{summary.skipped} are finished already"] if summary.skipped else []
    parts += [f"{len(summary.failed)} failed before"] if summary.failed else []
    parts += [f"{summary.others} are other shards'"] if summary.others else []
    parts += [f"{listing.passed_over} other files passed over"] if listing.passed_over else []
    return ", ".join(parts)
