"""Folders of photographs: images a second against jobs, the first process's memory, the time to read a long report.

python -m tools.benchmarks.folders throughput --photos DIR --jobs 1 2 --count 24
python -m tools.benchmarks.folders memory --count 1000
python -m tools.benchmarks.folders report --lines 100000
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from dmap.batch import Executor, Journal, Place, Processes, Serial, Work
from dmap.folders import Event, RestoreRecipe, find, restore_all
from dmap.image.files import FORMATS
from dmap.restoration import DEFAULT_PRIOR
from dmap.settings import Settings
from tools.training.data import list_photos

MIB = 2**20


@dataclass(frozen=True)
class CopyRecipe(RestoreRecipe):
    """Copies: what is measured is everything around the work."""

    def __call__(self, place: Place) -> Work:
        """Nothing to load."""

        def work(task: list[dict[str, str]], _: object) -> list[dict[str, Any]]:
            for item in task:
                shutil.copy(item["source"], item["target"])
            return [{"file": one["file"], "output": one["output"], "status": "done", "seconds": 0.0} for one in task]

        return work


def executor(jobs: int, threads: int) -> Executor:
    """That many processes, or this one."""
    return Serial(Place(threads=threads)) if jobs == 1 else Processes([Place(threads=threads)] * jobs)


def throughput(options: argparse.Namespace) -> None:
    """Photographs a second from the first to the last line of the report, models loaded; best of the repetitions."""
    recipe = RestoreRecipe(Settings(iterations=options.iterations), DEFAULT_PRIOR)
    with tempfile.TemporaryDirectory() as place:
        for file in list_photos(options.photos, heldout=True)[: options.count]:
            with Image.open(file, formats=FORMATS) as opened:
                opened.convert("RGB").resize((options.size, options.size)).save(Path(place) / f"{file.stem}.png")
        first = 0.0
        for jobs in options.jobs:
            rates = []
            for repetition in range(options.repetitions):
                times: list[float] = []

                def tell(event: Event, times: list[float] = times) -> None:
                    if event.kind == "line":
                        times.append(time.monotonic())

                out = Path(place) / f"out {jobs} {repetition}"
                restore_all(find([place], out), out, recipe, executor(jobs, options.threads), tell=tell)
                shutil.rmtree(out)
                rates.append((len(times) - jobs) / (times[-1] - times[jobs - 1]))
            first = first or max(rates)
            print(f"{jobs} jobs: {max(rates):.3f} photographs/s, {max(rates) / first:.2f} of one job's", flush=True)


def memory(options: argparse.Namespace) -> None:
    """Resident memory of the process that hands out the work, after a tenth of the photographs and after all."""
    process, seen = psutil.Process(), dict[int, int]()
    with tempfile.TemporaryDirectory() as place:
        for index in range(options.count):
            Image.new("RGB", (64, 64), (index % 255, 90, 60)).save(Path(place) / f"{index:06}.png")

        def tell(event: Event) -> None:
            if event.kind == "line" and event.done in (options.count // 10, options.count // 2, options.count):
                seen[event.done] = process.memory_info().rss

        began = time.monotonic()
        out = Path(place) / "out"
        recipe = CopyRecipe(Settings(), DEFAULT_PRIOR)
        restore_all(find([place], out), out, recipe, Processes([Place(threads=1)] * 2), tell=tell)
        print(f"{options.count} photographs in {time.monotonic() - began:.0f} s, copied instead of restored")
    for done, size in seen.items():
        print(f"after {done}: {size / MIB:.1f} MiB")


def report(options: argparse.Namespace) -> None:
    """Seconds to open a folder whose report has so many lines."""
    with tempfile.TemporaryDirectory() as place:
        line = {"status": "done", "digest": "0" * 20, "seconds": 12.34, "before": {"quality": 43.21, "distance": 0.0},
                "after": {"quality": 54.32, "distance": 0.0123}, "notes": ["a note of usual length, such as this one"],
                "input": {"size": 123456, "mtime_ns": 1, "sha256": "0" * 64}}  # fmt: skip
        with open(Path(place) / "report.jsonl", "w", encoding="utf-8") as lines:
            for index in range(options.lines):
                name = f"folder {index % 100}/photograph {index}.png"
                lines.write(json.dumps({"file": name, "output": name, "time": float(index), **line}) + "\n")
        size, began = (Path(place) / "report.jsonl").stat().st_size, time.process_time()
        with Journal(Path(place)) as journal:
            spent = time.process_time() - began
            print(f"{len(journal.lines)} lines, {size / MIB:.0f} MiB: {spent:.1f} s of processor time")


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.folders", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("throughput")
    one.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    one.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    one.add_argument("--count", type=int, default=24)
    one.add_argument("--size", type=int, default=128, help="side in pixels")
    one.add_argument("--iterations", type=int, default=4)
    one.add_argument("--threads", type=int, default=1, help="of each process")
    one.add_argument("--repetitions", type=int, default=2)
    one.set_defaults(run=throughput)
    two = kinds.add_parser("memory")
    two.add_argument("--count", type=int, default=1000)
    two.set_defaults(run=memory)
    three = kinds.add_parser("report")
    three.add_argument("--lines", type=int, default=100_000)
    three.set_defaults(run=report)
    options = parser.parse_args(arguments)
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
