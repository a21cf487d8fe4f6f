"""What several commands share: where results go, progress, where to compute."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

import torch

from .. import output
from ..batch import Executor, Place, Processes, RayActors, Serial
from ..errors import UserError, number_between
from ..image.files import WRITABLE
from ..models.choice import DTYPES, ModelChoice


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


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """--checkpoint and --prediction."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="a Stable Diffusion 1.x, 2.x or XL checkpoint, one safetensors file, or a folder in diffusers' form of "
        "Stable Diffusion 3.x, Flux.1 or Z-Image; needs diffusers and transformers (default: the pack's models)",
    )
    parser.add_argument(
        "--prediction", choices=["eps", "v"], default="eps", help="what the checkpoint predicts (default: eps)"
    )


def model_of(options: argparse.Namespace) -> ModelChoice:
    """What --checkpoint, --prediction and --dtype say."""
    checkpoint = None if options.checkpoint is None else str(options.checkpoint.absolute())
    return ModelChoice(checkpoint, options.prediction, options.dtype)


def add_executor_arguments(group: argparse._ActionsContainer) -> None:
    """--jobs, --threads, --ray and --gpus."""
    group.add_argument(
        "--jobs", type=int, metavar="N",
        help="processes, or actors with --ray (default: one for each GPU with --device cuda or --ray, else 1)",
    )  # fmt: skip
    group.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads of each (default: the CPU's cores shared out)"
    )
    group.add_argument(
        "--ray", metavar="ADDRESS",
        help="work as actors of a Ray cluster: its address, auto for the one that this computer belongs to, local to "
        "start one here; needs 'pip install .[ray]'",
    )  # fmt: skip
    group.add_argument(
        "--gpus", type=float, metavar="X", help="GPUs of each actor with --ray (default: 1 with --device cuda, else 0)"
    )


def executor_of(options: argparse.Namespace) -> Executor:
    """Where the work is done. Raises UserError for numbers that cannot be."""
    cuda = options.device == "cuda"
    for name in ("jobs", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name}: got {value}, at least 1 is needed")
    if options.gpus is not None and (options.ray is None or options.gpus < 0):
        raise UserError(f"--gpus: got {options.gpus:g}; give a number of GPUs, with --ray")
    if options.ray is not None:
        gpus = float(cuda) if options.gpus is None else options.gpus
        return RayActors(options.ray, options.jobs or 0, Place(options.device, options.threads or 1), gpus)
    device_of(options.device)
    jobs = options.jobs or (max(1, torch.cuda.device_count()) if cuda else 1)
    if jobs == 1:
        return Serial(Place(options.device, options.threads or 0))
    threads = options.threads or max(1, (os.cpu_count() or 1) // jobs)
    devices = [f"cuda:{index % torch.cuda.device_count()}" if cuda else options.device for index in range(jobs)]
    return Processes([Place(device, threads) for device in devices])


def folder(name: str) -> Path:
    """An option's folder. Raises what argparse shows if it is none."""
    if not os.path.isdir(name):
        raise argparse.ArgumentTypeError(f"{name}: there is no such folder")
    return Path(name)


def device_of(name: str) -> torch.device:
    """The device of that name. Raises UserError if it cannot be used here."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" makes tensors without values
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
        seconds = self.seconds_left(done)
        left = "" if seconds is None else f"  {_duration(seconds)} left"
        line = f"{self.label} {done}/{self.total}  {text}{left}"
        with contextlib.suppress(OSError, ValueError):  # nobody may be there any more
            print(f"\r{line}\x1b[K" if self.in_place else line, end="" if self.in_place else "\n", file=sys.stderr)
            sys.stderr.flush()

    def seconds_left(self, done: int) -> float | None:
        """Seconds that the rest will take, if it goes on as so far; None as long as nothing is done."""
        return (time.monotonic() - self._began) / done * (self.total - done) if done else None

    def close(self) -> None:
        """End the line."""
        if self.in_place:
            say("")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
