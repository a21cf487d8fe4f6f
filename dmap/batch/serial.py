"""One task after another, in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from .executor import ANYWHERE, Outcome, Place, Recipe, Watch, attempt


class Serial:
    """Does one task after another in this process; what it is given need not be picklable."""

    jobs = 1

    def __init__(self, place: Place = ANYWHERE) -> None:
        self.place = place

    def run(self, recipe: Recipe, tasks: Sequence[Any], watch: Watch | None = None) -> Generator[Outcome, None, None]:
        """See ``Executor.run``."""
        if not tasks:
            return
        with self.place.entered():
            work = recipe(self.place)
            for task in tasks:

                def report(text: str, task: Any = task) -> None:
                    if watch is not None:
                        watch(task, text)

                report("")
                yield attempt(work, task, report)
