"""What several commands share: where results go, progress, where to compute."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

import torch

from .. import output
from ..errors import UserError, number_between
from ..image.files import WRITABLE

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check_seed(seed: int) -> None:
    """Raise UserError for a seed that generators do not take."""
    number_between("--seed", seed, 0, 2**63 - 1, "0 is the default", whole=True)


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """--device and --dtype."""
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, mps ... (default: cpu)")
    parser.add_argument(
        "--dtype",
        choices=list(DTYPES),
        default="fp32",
        help="precision of the networks; latents and optimiser stay in fp32 (default: fp32)",
    )


def device_of(name: str) -> torch.device:
    """The device of that name. Raises UserError if it cannot be used here."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device: {name!r} cannot be used here ({reason}); use cpu") from error
    return device


def check_output(file: Path, overwrite: bool) -> None:
    """Raise UserError if a picture cannot be written there, before any work is done."""
    output.check_place(file, overwrite)
    if file.suffix.lower() not in WRITABLE:
        raise UserError(f"{file}: the result's name must end in one of {', '.join(WRITABLE)}")


def say(*lines: str) -> None:
    """Tell people on stderr; if nobody is there any more (a closed terminal), the work goes on."""
    with contextlib.suppress(OSError, ValueError):
        print(*lines, sep="\n", file=sys.stderr, flush=True)


class Progress:
    """A line on stderr that says what is done and how long the rest will take.

    Args:
        total: number of equal pieces of work.
        label: what is being done.

    Attributes:
        in_place: whether the line is overwritten, as on a terminal, or a new one is written.
    """

    def __init__(self, total: int, label: str) -> None:
        self.total, self.label = total, label
        self._began = time.monotonic()
        self.in_place = sys.stderr.isatty()

    def of(self, done: int, total: int) -> None:
        """Show ``done`` of a total that was not known before."""
        self.total = total
        self.update(done)

    def update(self, done: int, text: str = "") -> None:
        """Show ``done`` of the total and a word on the state."""
        spent = time.monotonic() - self._began
        left = f"  {_duration(spent / done * (self.total - done))} left" if done else ""
        line = f"{self.label} {done}/{self.total}  {text}{left}"
        with contextlib.suppress(OSError, ValueError):  # nobody may be there any more
            print(f"\r{line}\x1b[K" if self.in_place else line, end="" if self.in_place else "\n", file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if self.in_place:
            say("")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
