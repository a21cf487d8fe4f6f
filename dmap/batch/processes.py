"""Processes on this computer, one for each place."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from .executor import Failure, Outcome, Place, Queue, Recipe, Watch, attempt


class Processes:
    """Does tasks in processes, which start afresh (spawn) and make the work once each.

    A process that dies is replaced. The processes end with this one, however it ends.

    Args:
        places: one for each process.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = list(places)

    @property
    def jobs(self) -> int:
        """One for each place."""
        return len(self.places)

    def run(self, recipe: Recipe, tasks: Sequence[Any], watch: Watch | None = None) -> Generator[Outcome, None, None]:
        """See ``Executor.run``."""
        queue = Queue(tasks)
        workers = [_Process(recipe, place) for place in self.places[: len(tasks)]]
        try:
            while queue or any(worker.task is not None for worker in workers):
                for worker in workers:
                    if worker.ready and worker.task is None and queue:
                        worker.give(queue.take())
                        if watch is not None and worker.task is not None:
                            watch(worker.task[1], "")
                for one in wait([worker.connection for worker in workers]):
                    index = next(index for index, worker in enumerate(workers) if worker.connection is one)
                    worker = workers[index]
                    try:
                        kind, content = worker.connection.recv()
                    except (EOFError, OSError):
                        outcome = queue.lost(worker.task, worker.ready, worker.end(patience=5.0))
                        if outcome is not None:
                            yield outcome
                        del workers[index]
                        if queue:
                            workers.append(_Process(recipe, worker.place))
                        continue
                    if kind == "ready":
                        worker.ready = True
                        queue.began()
                    elif kind == "broken":
                        raise content.exception()
                    elif kind == "note" and worker.task is not None:
                        if watch is not None:
                            watch(worker.task[1], content)
                    elif kind == "done" and worker.task is not None:
                        (_, task), worker.task = worker.task, None
                        yield replace(content, task=task)
        finally:
            for worker in workers:
                worker.connection.close()  # those without a task end by themselves, all at once
            for worker in workers:
                worker.end(patience=1.0 if worker.ready and worker.task is None else 0.0)


class _Process:
    """A process as this one sees it."""

    def __init__(self, recipe: Recipe, place: Place) -> None:
        context = multiprocessing.get_context("spawn")
        self.place, self.ready = place, False
        self.task: tuple[int, Any] | None = None
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, recipe, place), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def give(self, numbered: tuple[int, Any]) -> None:
        self.task = numbered
        with contextlib.suppress(OSError):  # it is dead, which the next look at the connection finds
            self.connection.send(numbered[1])

    def end(self, patience: float) -> str:
        """Give it so many seconds to end by itself, then end it; returns how it ended."""
        self.connection.close()
        self.process.join(patience)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(connection: Connection, recipe: Recipe, place: Place) -> None:
    """The life of a process: make the work, then do what comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with place.entered():
        try:
            work = recipe(place)
        except Exception as error:
            connection.send(("broken", Failure.of(error).plain()))
            return
        connection.send(("ready", None))
        while True:
            try:
                task = connection.recv()
            except (EOFError, OSError):
                return
            outcome = attempt(work, task, lambda text: connection.send(("note", text)))
            failure = None if outcome.failure is None else outcome.failure.plain()
            connection.send(("done", Outcome(None, outcome.result, failure)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
