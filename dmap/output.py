"""Where results go: places are checked before the work, files are replaced whole, and nothing is lost at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from .errors import UserError

LEAST_FREE = 2**20
"""Bytes that must be free where a result goes; a photograph needs about that much."""
LONGEST_SUFFIX = 16
PREFIX = ".dmap-"
PARTS = f"{PREFIX}????????*"
"""Pattern of names of files that were being written when their process was killed."""
STOPS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a program to end, besides Ctrl-C's."""


@contextlib.contextmanager
def replacing(file: str | os.PathLike[str]) -> Iterator[Path]:
    """A new file to write beside ``file``, which takes its place at the end: readers find the old one or the new one.

    It has a name that no other file has and the same suffix; if writing fails it is removed and ``file`` stays.

    Raises:
        OSError: if the folder takes no file.
    """
    target = Path(file)
    suffix = target.suffix if len(target.suffix) <= LONGEST_SUFFIX else ""
    handle, name = tempfile.mkstemp(suffix, PREFIX, target.absolute().parent)
    os.close(handle)
    try:
        yield Path(name)
        with open(name, "rb") as written:
            os.fsync(written.fileno())  # else a loss of power could leave the name on an empty file
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _mode(target: Path) -> int:
    """Of the file that is replaced, or of a new one: temporary files are their owner's alone."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def write_text(file: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text by ``replacing``; what is no Unicode, as names of files can be, is written as escapes."""
    with replacing(file) as new:
        new.write_bytes(text.encode("utf-8", "backslashreplace"))


def check_place(file: Path, overwrite: bool = True) -> None:
    """Make sure that a file can be written, before any work is done for it.

    Args:
        file: where the result goes.
        overwrite: whether a file that is there may be replaced; nothing but a plain file ever is.

    Raises:
        UserError: says what stands in the way.
    """
    try:
        found: os.stat_result | None = os.lstat(file)
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:  # too long, not a name at all, or below something that is no folder
        raise UserError(f"{file}: nothing can be written under this name ({_reason(error)}); choose another") from error
    if file.is_dir():
        raise UserError(f"{file}: it is a folder; give the name of a file, such as {file.name or 'result'}.png in it")
    if found is not None and not overwrite:
        raise UserError(f"{file}: it exists already; choose another name or add --overwrite")
    if found is not None and not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        raise UserError(f"{file}: it is no plain file and stays as it is; choose another name")
    check_folder(file.absolute().parent, f"{file}: its folder")


def check_folder(folder: Path, what: str = "") -> None:
    """Make sure that files can be written into a folder.

    Args:
        folder: that must be there.
        what: it is, for the error; its name by default.

    Raises:
        UserError: if it is missing, no folder, read-only or full.
    """
    what = what or str(folder)
    if not folder.is_dir():
        raise UserError(f"{what} does not exist; make it first")
    try:
        with tempfile.NamedTemporaryFile(prefix=PREFIX, dir=folder) as probe:
            probe.write(bytes(1024))
            probe.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(f"{what} is not writable ({_reason(error)}); choose another or free it") from error
    if free < LEAST_FREE:
        raise UserError(f"{what} lies on a full disk ({free} bytes are free); free some or choose another")


def check_new_folder(folder: Path) -> None:
    """As ``check_folder`` for one that may still have to be made: then its nearest parent that is there counts."""
    place = folder.absolute()
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # too long, or not a name at all
        raise UserError(f"{folder}: no folder can have this name ({_reason(error)}); choose another") from error
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise UserError(f"{folder}: {place} is no folder; choose another name")
    check_folder(place, str(folder) if place == folder.absolute() else f"{folder}: {place}")


def check_distinct(places: Mapping[str, Path | None]) -> None:
    """Make sure that no two arguments name one file, by whatever names and links.

    Args:
        places: files by the arguments that name them; None for those that were not given.

    Raises:
        UserError: names the two.
    """
    seen: list[tuple[str, Path]] = []
    for name, file in places.items():
        if file is None:
            continue
        for other, before in seen:
            if _same(before, file):
                raise UserError(f"{name}: {file} is the same file as {other}; give each its own")
        seen.append((name, file))


def _same(one: Path, other: Path) -> bool:
    try:
        if os.path.realpath(one) == os.path.realpath(other):
            return True
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def keep(write: Callable[[Path], None], file: Path, say: Callable[[str], None]) -> Path:
    """Write a result, to another place rather than not at all.

    Args:
        write: writes it under a name.
        file: where it belongs.
        say: is told where it went instead, if that place fails.

    Returns:
        Where it is.

    Raises:
        OSError: if no place takes it; then that of ``file``.
    """
    try:
        write(file)
    except OSError as error:
        plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "_" for sign in file.stem)
        name = (plain[:60] or "result") + (file.suffix if len(file.suffix) <= LONGEST_SUFFIX else "")
        for folder in dict.fromkeys((tempfile.gettempdir(), os.path.expanduser("~"), os.getcwd())):
            try:
                other = Path(tempfile.mkdtemp(prefix="dmap-", dir=folder)) / name
                write(other)
            except OSError:
                continue
            say(f"{file}: it could not be written ({_reason(error)}); the result is {other}")
            return other
        raise
    return file


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


class Stopped(KeyboardInterrupt):
    """A signal of ``STOPS`` asked the program to end; what handles Ctrl-C handles it as well.

    Attributes:
        code: the exit code that shells expect, 128 + the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Inside, the first signal of ``STOPS`` raises ``Stopped`` and later ones do nothing: there is time to save.

    Signals that whoever started the program has it ignore, as nohup does, stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    handled = [number for number, action in before.items() if action is not signal.SIG_IGN]

    def stop(number: int, _: FrameType | None) -> None:
        for one in handled:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(number)

    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
