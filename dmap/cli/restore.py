"""``python -m dmap restore``: photographs, without a host."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from .. import output
from ..batch import Shard
from ..errors import UserError
from ..folders import Event, Options, RestoreRecipe, find, restore_all
from ..folders.listing import is_many
from ..image.files import DEEP, WITHOUT_ALPHA, WRITABLE, About, read_photograph, write_picture
from ..method.ascent import Ascent
from ..models.diffusion import LatentDiffusion
from ..restoration import DEFAULT_PRIOR, begin, cleaned, finish, frozen_prior
from ..settings import PRESETS, STAGES, Settings, default, describe, preset
from . import common

NAME = "restore"
HELP = "Restore a photograph whose distortions are unknown and stay faithful to it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        'Examples: python -m dmap restore old.jpg better.png --preset "gentle photo"; '
        "python -m dmap restore album/ restored/ --jobs 4"
    )
    parser.add_argument(
        "input", nargs="+", metavar="IN",
        help="a photograph (png, jpg, tif, webp ...), or many: folders, files, patterns such as 'scans/**/*.tif', "
        "@LIST for a file with a name on each line",
    )  # fmt: skip
    parser.add_argument(
        "output", type=Path, metavar="OUT",
        help=f"where the result goes ({', '.join(WRITABLE)}); for many photographs a folder, which gets their folders "
        "and names and a report, report.jsonl. The same command goes on after a stop",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results, and the file of --trace, that are there"
    )
    common.add_model_arguments(parser)
    parser.add_argument("--prior", default=DEFAULT_PRIOR, help=f"quality model to climb (default: {DEFAULT_PRIOR})")
    parser.add_argument(
        "--weights",
        type=common.folder,
        metavar="DIR",
        help="folder with quality models' weights and prior files (models/iqa)",
    )
    parser.add_argument("--trace", type=Path, metavar="FILE", help="also write what happened, as JSON")
    about = "; ".join(f"{name}: {one.text.rstrip('.')}" for name, one in PRESETS.items())
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        default="default",
        metavar="NAME",
        help=f"settings to start from; options override. {about}",
    )
    facts = describe()
    for stage in STAGES:
        group = parser.add_argument_group(f"settings: {stage}")
        for name, fact in facts.items():
            if fact.stage != stage:
                continue
            kind = type(default(name))
            metavar = None if fact.choices else fact.unit.upper() or {int: "N", float: "X"}[kind]
            group.add_argument(
                f"--{name.replace('_', '-')}",
                type=kind,
                choices=fact.choices or None,
                metavar=metavar,
                help=f"{fact.text.replace('%', '%%')} (default: {default(name)})",
            )
    many = parser.add_argument_group("many photographs")
    common.add_executor_arguments(many)
    many.add_argument(
        "--shard", metavar="I/N", help="do the I-th of N parts only, as a job of an array does: 1/8 ... 8/8"
    )
    many.add_argument(
        "--batch", type=int, metavar="N", help="photographs of one size that share an ascent, at most (default: 1)"
    )
    many.add_argument("--format", choices=[one[1:] for one in WRITABLE], help="of the results (default: each its own)")
    many.add_argument("--retry-failed", action="store_true", help="try those again that failed in an earlier run")
    many.add_argument("--quiet", action="store_true", help="say nothing but what failed")
    many.add_argument("--json", action="store_true", help="say what happens as lines of JSON on the standard output")
    common.add_device_arguments(parser)


def _settings(options: argparse.Namespace) -> Settings:
    given = {name: value for name in describe() if (value := getattr(options, name)) is not None}
    return Settings(**{**vars(preset(options.preset)), **given})


@contextlib.contextmanager
def _named_options() -> Iterator[None]:
    """Errors about a setting name the command's option."""
    try:
        yield
    except UserError as error:
        name, colon, rest = str(error).partition(":")
        if name not in describe():
            raise
        raise UserError(f"--{name.replace('_', '-')}{colon}{rest}") from error


NAMED = 20
"""Photographs that failed and are named at the end."""
_FOR_MANY = ("jobs", "threads", "ray", "gpus", "shard", "batch", "format", "retry_failed", "quiet", "json")


def run(options: argparse.Namespace) -> int:
    with _named_options():
        if is_many(options.input, options.output):
            return _many(options)
        values = {name: getattr(options, name) for name in _FOR_MANY}
        given = [f"--{name.replace('_', '-')}" for name, one in values.items() if one is not None and one is not False]
        if given:
            raise UserError(f"{', '.join(given)}: of use for many photographs only; give folders as IN and OUT")
        return _one(options)


def _many(options: argparse.Namespace) -> int:
    """Restore a folder; returns the exit code."""
    if options.trace is not None:
        raise UserError("--trace: for one photograph only; of many, report.jsonl says what happened")
    if options.output.suffix.lower() in WRITABLE and not options.output.is_dir():
        raise UserError(f"{options.output}: for many photographs OUT is a folder, and this is a picture's name")
    if options.output.exists() and not options.output.is_dir():
        raise UserError(f"{options.output}: it is no folder; choose another name for the results")
    recipe = RestoreRecipe(
        _settings(options), options.prior, () if options.weights is None else (str(options.weights.absolute()),),
        common.model_of(options),
    )  # fmt: skip
    how = Options(
        Shard() if options.shard is None else Shard.of(options.shard),
        1 if options.batch is None else options.batch, options.retry_failed, options.overwrite,
    )  # fmt: skip
    executor = common.executor_of(options)
    out = options.output.absolute()
    listing = find(options.input, out, "" if options.format is None else f".{options.format}")
    teller = _Json() if options.json else _Quiet() if options.quiet else _Words()
    try:
        # Libraries print too, such as Ray of actors that died: the standard output is for events alone.
        with contextlib.closing(teller), contextlib.redirect_stdout(sys.stderr):
            found = restore_all(listing, out, recipe, executor, how, teller.tell)
    except UserError:
        raise
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print("stopped; the photographs at hand are dropped, the same command goes on", file=sys.stderr)
        return getattr(error, "code", 130)
    if not options.json:
        for file, reason in list(found.failed.items())[:NAMED]:
            print(f"failed: {file}: {reason.splitlines()[0]}", file=sys.stderr)
        if len(found.failed) > NAMED:
            print(f"failed: {len(found.failed) - NAMED} more, which {out / 'report.jsonl'} names", file=sys.stderr)
    words = f"{found.done} restored, {found.skipped} were finished, {len(found.failed)} failed"
    if options.json:
        print(json.dumps({"event": "end", **vars(found)}), flush=True)
    elif not options.quiet:
        print(f"{out}: {words}" + ("; --retry-failed tries those again" if found.failed else ""))
    return 1 if found.failed else 0


class _Quiet:
    """Tells nothing."""

    def tell(self, event: Event) -> None:
        """Of an event."""

    def close(self) -> None:
        """After the last."""


class _Words(_Quiet):
    """A line on the standard error: what is done, how long the rest will take, what failed, what is at hand."""

    def __init__(self) -> None:
        self._progress: common.Progress | None = None

    def tell(self, event: Event) -> None:
        if event.kind == "plan":
            print(event.text, file=sys.stderr)
            return
        if self._progress is None:  # at the first photograph, so that loading models is no part of its time
            self._progress = common.Progress(event.total, "restoring")
        if event.kind == "line" or self._progress.in_place:
            failed = f"{event.failed} failed, " if event.failed else ""
            self._progress.update(event.done, f"{failed}{event.file} {event.text}".rstrip())

    def close(self) -> None:
        if self._progress is not None:
            self._progress.close()


class _Json(_Quiet):
    """An event a line, with seconds left from the throughput so far."""

    def __init__(self) -> None:
        self._progress: common.Progress | None = None
        self._output = sys.stdout

    def tell(self, event: Event) -> None:
        if self._progress is None and event.kind != "plan":
            self._progress = common.Progress(event.total, "")
        if event.kind != "note":
            left = None if self._progress is None else self._progress.seconds_left(event.done)
            about = {name: value for name, value in vars(event).items() if name != "kind" and value not in ("", {})}
            print(json.dumps({"event": event.kind, "seconds_left": left, **about}), file=self._output, flush=True)


def _one(options: argparse.Namespace) -> int:
    """Restore one file; returns the exit code."""
    source = options.input[0]
    _check_places(options)
    settings = _settings(options)
    photograph, about = read_photograph(source)
    for note in about.notes:
        common.say(f"{source}: {note}")
    if about.bits == 16 and options.output.suffix.lower() not in DEEP:
        common.say(f"{options.output}: it holds 8 bits a channel of 16; .png and .tif keep them")
    photograph, found = cleaned(photograph, settings)
    for note in found:
        common.say(note)
    device = common.device_of(options.device)
    if photograph.alpha is not None and options.output.suffix.lower() in WITHOUT_ALPHA:
        common.say(f"{options.output}: JPEG holds no alpha channel, it is left out; .png keeps it")
    model = common.model_of(options).load(device)
    prior = frozen_prior(options.prior, device, () if options.weights is None else (options.weights,))
    inverting = common.Progress(0, "inverting")
    ascent = begin(model, photograph, prior, settings, tick=inverting.of)
    inverting.close()
    before = list(ascent.trace.notes)
    detail = ascent.path.detail
    share = [] if detail is None else [f"detail: {float(detail[0]):.2f} of what the autoencoder lost"]
    common.say(*share, ascent.trace.memory, *before)
    progress = common.Progress(settings.iterations + 1, "restoring")

    def show(state: Ascent) -> None:
        row = state.trace.rows[-1]
        text = f"quality {row.prior[0]:.1f}, distance {row.fidelity[0]:.4f}"
        progress.update(row.iteration + 1, text)

    code, place = 0, options.output
    try:
        ascent.run(show)
    except (KeyboardInterrupt, FloatingPointError) as error:
        if ascent.image is None:
            raise
        code = 1 if isinstance(error, FloatingPointError) else getattr(error, "code", 130)
        reason = f"error: {error}" if code == 1 else "interrupted"
        common.say(f"\n{reason}; the best image so far is written")
    finally:
        progress.close()
        if ascent.image is not None:
            place = _write(model, ascent, settings, about, options)
    if place != options.output:
        code = code or 1
    for note in ascent.trace.notes[len(before) :]:
        common.say(note)
    first, best = ascent.trace.rows[0], ascent.trace.rows[ascent.trace.best_iteration[0]]
    print(f"{place}: quality {first.prior[0]:.1f} -> {best.prior[0]:.1f}, distance {best.fidelity[0]:.4f}")
    return code


def _check_places(options: argparse.Namespace) -> None:
    """Raise UserError unless results can be written, each to a file of its own."""
    output.check_distinct(
        {
            "IN": Path(options.input[0]),
            "--checkpoint": options.checkpoint,
            "--weights": options.weights,
            "OUT": options.output,
            "--trace": options.trace,
        }
    )
    common.check_output(options.output, options.overwrite)
    if options.trace is not None:
        output.check_place(options.trace, options.overwrite)


def _write(
    model: LatentDiffusion, ascent: Ascent, settings: Settings, about: About, options: argparse.Namespace
) -> Path:
    """Write what an ascent has reached, whatever ended it; returns where the picture is."""
    assert ascent.image is not None
    try:
        image = finish(model, ascent.path, settings)[0]
    except Exception as error:  # rather the picture as the ascent showed it than none
        common.say(f"the last step failed ({error}); the picture is written without it")
        image = ascent.image
    place = output.keep(lambda file: write_picture(image, file, about), options.output, common.say)
    if options.trace is not None:
        output.keep(lambda file: output.write_text(file, ascent.trace.to_json()), options.trace, common.say)
    return place
