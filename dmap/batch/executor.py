"""What all executors have in common: places, outcomes, and what happens to a task whose worker ends."""

from __future__ import annotations

import contextlib
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from ..errors import UserError

Report = Callable[[str], None]
"""Told by the work what it is at; may raise to stop everything."""
Work = Callable[[Any, Report], Any]
"""``work(task, report) -> result``."""
Watch = Callable[[Any, str], None]
"""Told a task and what its work reports, "" as it begins; may raise to stop everything."""

LIVES = 2
"""Workers that a task may take with it before it is given up: one may die of something else, such as a lack of memory
that another program caused."""


@dataclass(frozen=True)
class Place:
    """Where a worker computes.

    Attributes:
        device: torch's name of it.
        threads: of the CPU; 0 leaves the number as it is.
    """

    device: str = "cpu"
    threads: int = 0

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """With its number of threads."""
        before = torch.get_num_threads()
        if self.threads:
            torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


ANYWHERE = Place()

Recipe = Callable[[Place], Work]
"""Makes the work in its place; picklable for executors that compute elsewhere."""


class LostError(RuntimeError):
    """A worker ended, as the system's killer of processes ends those that need too much memory."""


@dataclass(frozen=True)
class Failure:
    """Why a task has no result; plain data but for ``error``.

    Attributes:
        kind: "user": something that the user can mend; "fault": of this program; "lost": its workers ended.
        text: the reason in words.
        trace: where in the program a fault comes from.
        error: the exception, where the work was done in this process.
    """

    kind: str
    text: str
    trace: str = ""
    error: Exception | None = field(default=None, compare=False)

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Of an exception."""
        if isinstance(error, UserError | OSError | MemoryError | ArithmeticError):
            return cls("user", str(error) or type(error).__name__, "", error)
        text = f"a fault of this program: {type(error).__name__}: {error}"
        return cls("fault", text, "".join(traceback.format_exception(error)), error)

    def plain(self) -> Failure:
        """Without the exception, for the way to another process."""
        return replace(self, error=None)

    def exception(self) -> Exception:
        """The exception, or one that says the same."""
        if self.error is not None:
            return self.error
        kind = {"user": UserError, "lost": LostError}.get(self.kind, RuntimeError)
        return kind(f"{self.text}\n{self.trace}".rstrip())


@dataclass(frozen=True)
class Outcome:
    """A task and its result, or its failure."""

    task: Any
    result: Any = None
    failure: Failure | None = None

    def value(self) -> Any:
        """The result. Raises the failure's exception."""
        if self.failure is not None:
            raise self.failure.exception()
        return self.result


class Executor(Protocol):
    """Does tasks somewhere."""

    @property
    def jobs(self) -> int:
        """How many tasks it does at once, at most; known at least while it runs."""

    def run(self, recipe: Recipe, tasks: Sequence[Any], watch: Watch | None = None) -> Generator[Outcome, None, None]:
        """One outcome for each task, in the order in which they end.

        A task that fails is an outcome. A task whose worker dies is done again by another one, at most ``LIVES`` times
        in all. Closing the iterator, or an exception out of ``watch``, ends the workers and drops the tasks at hand.

        Raises:
            Exception: that the recipe raised, and ``LostError`` if workers end before they can begin.
        """


def attempt(work: Work, task: Any, report: Report) -> Outcome:
    """Do a task. What ``report`` raises passes through; other exceptions are failures."""
    stop: list[BaseException] = []

    def told(text: str) -> None:
        try:
            report(text)
        except BaseException as error:
            stop.append(error)
            raise

    try:
        return Outcome(task, work(task, told))
    except Exception as error:
        if stop:
            raise stop[0] from None
        return Outcome(task, None, Failure.of(error))


class Queue:
    """Tasks that wait for a worker, and those that have lost theirs."""

    def __init__(self, tasks: Sequence[Any]) -> None:
        self._waiting = deque(enumerate(tasks))
        self._lost: dict[int, int] = {}
        self._stillborn = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> tuple[int, Any]:
        """The next task and its number."""
        return self._waiting.popleft()

    def began(self) -> None:
        """A worker is ready."""
        self._stillborn = 0

    def lost(self, numbered: tuple[int, Any] | None, ready: bool, how: str) -> Outcome | None:
        """A worker died, with the task that it was at. Returns the task's outcome if it is given up."""
        if not ready:
            self._stillborn += 1
            if self._stillborn > LIVES:
                raise LostError(f"workers end before they can begin ({how}); is there memory for them? Lower --jobs")
        if numbered is None:
            return None
        number, task = numbered
        self._lost[number] = self._lost.get(number, 0) + ready
        if self._lost[number] < LIVES:
            self._waiting.appendleft(numbered)
            return None
        text = f"its worker ended {LIVES} times while it was at this one ({how}); memory is the most common reason"
        return Outcome(task, None, Failure("lost", text))
