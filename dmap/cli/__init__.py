"""The command line. A new command is one module here and one entry in ``COMMANDS``."""

from __future__ import annotations

import argparse
import io
import sys
import traceback
from collections.abc import Sequence
from typing import Protocol

from ..errors import UserError
from ..output import stoppable
from . import (
    common,
    compare,
    convert_weights,
    fit_maps,
    measure_priors,
    propose,
    rank,
    report,
    reproduce,
    restore,
    stability,
    study,
)

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all is well; it broke while it ran; the command line or a file is at fault; Ctrl-C.

A signal that ends the program gives 128 + its number: 143 for SIGTERM, 129 for SIGHUP."""


class Command(Protocol):
    """What a command's module holds."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it; returns the exit code. A UserError or OSError is shown as one line and ends with ``USAGE``."""


COMMANDS: tuple[Command, ...] = (
    restore, compare, study, rank, report, propose, stability, reproduce, fit_maps, convert_weights, measure_priors,
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    result = argparse.ArgumentParser(
        prog="python -m dmap",
        description="Restores photographs by MAP estimation in diffusion latents (arXiv:2403.06406).",
        epilog="Exit codes: 0 done, 1 it failed while it ran, 2 a wrong option or file, 130 interrupted.",
    )
    result.add_argument("--debug", action="store_true", help="show where in the program an error comes from")
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.add_arguments(sub)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        sub.set_defaults(run=command.run)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be Unicode
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    try:
        with stoppable():
            code: int = options.run(options)
    except (UserError, OSError) as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt as stop:
        common.say("interrupted")
        return getattr(stop, "code", INTERRUPTED)
    except (ArithmeticError, MemoryError) as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: it failed while it ran: {error}", file=sys.stderr)
        return FAILED
    except Exception as error:
        traceback.print_exc()
        print(f"error: a fault of this program: {error}; please report it with the lines above", file=sys.stderr)
        return FAILED
    return code
