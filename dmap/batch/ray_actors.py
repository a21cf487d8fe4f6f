"""Actors of a Ray cluster, which need not be on this computer. Ray is optional: ``pip install .[ray]``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator, Sequence
from typing import Any

from ..errors import UserError
from .executor import ANYWHERE, Failure, Outcome, Place, Queue, Recipe, Watch, attempt

NEEDS_RAY = "--ray: Ray is not installed; install it with 'pip install .[ray]', or use --jobs on this computer"


class RayActors:
    """Does tasks as Ray actors, which make the work once each and are replaced if they die.

    The pack must be installed on every node, and files must have the same names there. An actor's reports of what it is
    at stay with it.

    Args:
        address: of the cluster, "auto" for the one that this computer belongs to, "local" to start one here.
        actors: how many; 0 = one for each GPU of the cluster or, without gpus, for each CPU.
        place: of every actor; Ray shows it its own GPUs alone.
        gpus: GPUs for each actor; shares of one are possible.

    Raises:
        UserError: if Ray is not installed.
    """

    def __init__(self, address: str, actors: int = 0, place: Place = ANYWHERE, gpus: float = 0.0) -> None:
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise UserError(NEEDS_RAY) from error
        self.address, self.place, self.gpus, self.jobs = address, place, gpus, actors

    def _connect(self) -> bool:
        """Connect, unless it is done already; whether it was this call that did."""
        import ray

        if ray.is_initialized():
            return False
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        further: dict[str, Any] = {}
        path = os.environ.get("PYTHONPATH")
        if self.address == "local":
            os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 is for clusters that serve many
            further = {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "num_cpus": self.jobs or None}
            os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # its workers find what this process finds
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR, **further)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"--ray: no cluster answers at {self.address!r} ({reason}); see 'ray status'") from error
        finally:
            if self.address == "local":
                del os.environ["PYTHONPATH"]
                os.environ.update({} if path is None else {"PYTHONPATH": path})
        return True

    def run(self, recipe: Recipe, tasks: Sequence[Any], watch: Watch | None = None) -> Generator[Outcome, None, None]:
        """See ``Executor.run``."""
        import ray

        mine = self._connect()
        actors: list[Any] = []
        try:
            resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call, unused-ignore]
            there = resources.get("GPU", 0) / self.gpus if self.gpus else resources.get("CPU", 1)
            self.jobs = self.jobs or max(1, int(there))
            if self.gpus and there < 1:
                raise UserError(f"--ray: the cluster has {resources.get('GPU', 0):g} GPUs; use --device cpu")
            kind: Any = ray.remote(num_cpus=1, num_gpus=self.gpus, max_restarts=0)(_Actor)
            actor_of: dict[Any, Any] = {}
            task_of: dict[Any, tuple[int, Any]] = {}
            ready, queue = set(), Queue(tasks)

            def start() -> None:
                actor: Any = kind.remote(recipe, self.place)
                actors.append(actor)
                actor_of[actor.open.remote()] = actor

            for _ in range(min(self.jobs, len(tasks))):
                start()
            while task_of or queue:
                (done, *_), _ = ray.wait(list(actor_of), num_returns=1)
                actor, numbered = actor_of.pop(done), task_of.pop(done, None)
                try:
                    found = ray.get(done)
                except ray.exceptions.RayActorError as error:
                    actors.remove(actor)
                    reason = str(error).strip().splitlines()[-1].strip()[:200]
                    outcome = queue.lost(numbered, actor in ready, reason)
                    if outcome is not None:
                        yield outcome
                    if queue:
                        start()
                    continue
                if numbered is not None:
                    yield Outcome(numbered[1], found.result, found.failure)
                elif found is None:
                    ready.add(actor)
                    queue.began()
                else:
                    raise found.exception()
                if queue:
                    numbered = queue.take()
                    if watch is not None:
                        watch(numbered[1], "")
                    reference = actor.do.remote(numbered[1])
                    actor_of[reference], task_of[reference] = actor, numbered
        finally:
            for actor in actors:
                ray.kill(actor)
            if mine:
                ray.shutdown()


class _Actor:
    """What runs on the cluster. Exceptions are told as plain data, so that none needs to be picklable."""

    def __init__(self, recipe: Recipe, place: Place) -> None:
        self.recipe, self.place = recipe, place

    def open(self) -> Failure | None:
        """Make the work; returns what went wrong."""
        try:
            with self.place.entered():
                self.work = self.recipe(self.place)
        except Exception as error:
            return Failure.of(error).plain()
        return None

    def do(self, task: Any) -> Outcome:
        """One task."""
        with self.place.entered():
            outcome = attempt(self.work, task, lambda _: None)
        return Outcome(None, outcome.result, None if outcome.failure is None else outcome.failure.plain())
