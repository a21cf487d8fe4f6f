"""What a run has done, so that another one goes on where it ended: a report of JSON lines, and a lock on its folder.

report.jsonl                a line for each file that ended; of several for one file the last counts
report.2-of-8.jsonl         the same of a shard; readers take all reports together
.dmap/begun*                names of results that were begun: what lies there is of these runs
.dmap/lock*                 locked while a run works here; the system takes the lock away however the run ends
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zlib import crc32

from ..errors import UserError, repeated

HOUSE = ".dmap"
"""Folder inside the folder of results for what nobody needs to see."""


@dataclass(frozen=True)
class Shard:
    """A part of the work, for several runs that share it without knowing of each other.

    Attributes:
        index: from 1 to ``count``.
        count: of all parts.

    Raises:
        UserError: for an index out of range.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UserError(f"--shard: got {self.index}/{self.count}; give i/n with i from 1 to n, such as 1/8")

    @classmethod
    def of(cls, text: str) -> Shard:
        """Of "i/n". Raises UserError for another text."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None:
            raise UserError(f"--shard: got {repeated(text)}; give i/n, such as 1/8")
        return cls(int(found.group(1)), int(found.group(2)))

    def __contains__(self, name: str) -> bool:
        """Whether a file belongs to it; by its name alone, so that new files move no others."""
        return crc32(os.fsencode(name)) % self.count == self.index - 1

    @property
    def suffix(self) -> str:
        """For the names of its files; empty if it is all."""
        return "" if self.count == 1 else f".{self.index}-of-{self.count}"


class Journal:
    """The journal of a folder, open for one run: a context manager.

    Args:
        folder: of the results; it is made if it is not there.
        shard: the part of the work that this run does.

    Attributes:
        lines: the last line of each finished or failed file, by its name, of all reports.
        begun: names of results that runs have begun here.
        damaged: number of lines that could not be read.
        unlocked: why the folder could not be locked; None if it is.
    """

    def __init__(self, folder: Path, shard: Shard = Shard()) -> None:
        self.folder, self.shard = folder, shard
        self.lines: dict[str, dict[str, Any]] = {}
        self.begun: set[str] = set()
        self.damaged = 0
        self.unlocked: str | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Journal:
        """Lock the folder and read what is there.

        Raises:
            UserError: if another run works there, or nothing can be written there.
        """
        house = self.folder / HOUSE
        try:
            house.mkdir(parents=True, exist_ok=True)
            with self._open:
                # A run over all and runs over shards keep each other out; runs over different shards do not.
                locks = [house / "lock"] + ([house / f"lock{self.shard.suffix}"] if self.shard.count > 1 else [])
                for index, file in enumerate(locks):
                    shared = index < len(locks) - 1
                    self.unlocked = self._open.enter_context(_locked(file, self.folder, shared)) or self.unlocked
                self.lines, self.damaged = read(self.folder)
                for file in house.glob("begun*"):
                    for text in file.read_bytes().splitlines():
                        with contextlib.suppress(ValueError):
                            self.begun.add(json.loads(text))
                self._report = self._open.enter_context(_appended(self.folder / f"report{self.shard.suffix}.jsonl"))
                self._begun = self._open.enter_context(_appended(house / f"begun{self.shard.suffix}"))
                self._open = self._open.pop_all()
        except OSError as error:
            raise UserError(f"{self.folder}: nothing can be written there ({error.strerror or error})") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files; the lock goes with them."""
        self._open.close()

    def begin(self, name: str) -> None:
        """Note that a result of that name will be written."""
        if name not in self.begun:
            self.begun.add(name)
            self._begun.write(json.dumps(name).encode() + b"\n")
            self._begun.flush()  # into the system's hands, where it outlives this process

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line and wait until it is on the disk. A line with a "file" is that file's.

        Raises:
            OSError: if the disk is full or gone.
        """
        self._report.write(json.dumps(dict(line), ensure_ascii=True, allow_nan=False).encode() + b"\n")
        self._report.flush()
        os.fsync(self._report.fileno())
        if "file" in line:
            self.lines[line["file"]] = dict(line)


def read(folder: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """The last line of each file in all reports of a folder, by name, and the number of lines that are damaged."""
    found: dict[str, dict[str, Any]] = {}
    damaged = 0
    for report in sorted(folder.glob("report*.jsonl")):
        with open(report, "rb") as lines:
            for text in lines:
                try:
                    line = json.loads(text)
                    name = line.get("file")
                    if isinstance(name, str) and (name not in found or found[name]["time"] <= line["time"]):
                        found[name] = line
                except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
                    damaged += 1  # the end of a run that was cut off, most likely
    return found, damaged


@contextlib.contextmanager
def _appended(file: Path) -> Iterator[IO[bytes]]:
    """A file to add lines to; one that was cut off in a line gets its end first."""
    with open(file, "a+b") as opened:
        if opened.tell():
            opened.seek(-1, os.SEEK_END)
            if opened.read(1) != b"\n":
                opened.write(b"\n")
        yield opened


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """No other run works on a folder meanwhile, as far as its file system knows locks.

    Raises:
        UserError: if one does.
    """
    house = folder / HOUSE
    house.mkdir(parents=True, exist_ok=True)
    with _locked(house / "lock", folder, shared=False):
        yield


@contextlib.contextmanager
def _locked(file: Path, folder: Path, shared: bool) -> Iterator[str | None]:
    """With a lock on a file; gives the reason if the file system knows none. Raises UserError if another run has it."""
    with open(file, "a+b") as held:
        reason = None
        try:
            _lock(held, shared)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK):
                raise UserError(
                    f"{folder}: another run is at work on this folder; wait for it, end it, or choose another folder"
                ) from error
            reason = f"{error.strerror}: this file system knows no locks; see that no second run works here"
        yield reason


def _lock(held: IO[bytes], shared: bool) -> None:
    """Lock an open file, or raise OSError at once."""
    try:
        import fcntl
    except ImportError:  # Windows, which knows no shared locks: shards see only runs over the same shard
        if not shared:
            import msvcrt

            held.seek(0)
            msvcrt.locking(held.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        return
    fcntl.flock(held, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
