"""How much memory a step of the ascent needs, measured before it is taken, and what an out-of-memory error is."""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..method.gradients import AUTO, GradientStrategy, make_gradient
from ..method.objective import Objective
from ..method.path import LatentPath
from ..method.solvers import make_solver
from .blocks import Denoising
from .checkpoint import CopyOnWrite
from .decoding import Decoding

OVERHEAD, WORKSPACE = 1.2, 48 * 2**20
"""What a process takes beyond its tensors at their peak, a factor and bytes; measured, see docs/cost.md."""

SHARE = 0.95
"""Of the free memory that is planned with; other programs move as well."""

PROBE = 32
"""Side in latent positions of the part that is decoded to measure the decoder."""

BUFFERS = 8
"""Copies of the whole image that joining tiles holds, forwards and backwards."""

MEMINFO = Path("/proc/meminfo")
EVERYTHING = 2**62
TOO_LARGE = (
    "gradient: out of memory for a single call of the network or the quality model; use tiles, a smaller image or "
    "batch, or free memory"
)


@dataclass(frozen=True)
class Usage:
    """Bytes of tensors that a function makes.

    Attributes:
        kept: what is still there between its forward and its backward pass, its result included.
        peak: at most at the same time, over both passes.
    """

    kept: int
    peak: int

    def times(self, factor: float) -> Usage:
        """Of an input that is larger by ``factor``, where memory grows in proportion."""
        return Usage(int(self.kept * factor), int(self.peak * factor))


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that operations make, until they are freed.

    Args:
        limit: a MemoryError is raised as soon as more than so many are there, before an allocator is at its end (a
            CPU's would have the machine page, and the process killed); None = no limit.

    Attributes:
        now: that are there.
        peak: that were there at once, at most.
    """

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit = limit
        self.now = self.peak = 0
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def _see(self, storage: torch.UntypedStorage) -> None:
        # By identity: meta tensors have no address. The entry goes with the storage, so none is taken for another.
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return

        def gone(_: object) -> None:
            self._seen.pop(key, None)
            self.now -= size

        self._seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {x.untyped_storage()._cdata for x in (*args, *(kwargs or {}).values()) if isinstance(x, Tensor)}
        for x in result if isinstance(result, tuple | list) else (result,):
            if isinstance(x, Tensor) and x.untyped_storage()._cdata not in given:
                self._see(x.untyped_storage())
        if self.limit is not None and self.now > self.limit:
            raise MemoryError(f"more than {gib(self.limit)} are needed")
        return result


def measure(function: Callable[[Tensor], Tensor], x: Tensor, backward: bool = True, limit: int | None = None) -> Usage:
    """Run a function, forwards and backwards, and count its tensors.

    Workspaces inside operations are not seen, see ``OVERHEAD``. On meta or fake tensors nothing is computed, so any
    size can be asked for.

    Args:
        function: of one tensor, returns one tensor.
        x: with respect to this a gradient is taken.
        backward: False: without a gradient, ``kept`` is then the result.
        limit: of ``Live``.

    Raises:
        MemoryError: if more than ``limit`` bytes are needed.
    """
    with torch.inference_mode(False), torch.set_grad_enabled(backward):
        leaf = x.detach().clone().requires_grad_(backward)
        with Live(limit) as live:
            with CopyOnWrite().saving():  # hosts' networks may write in place
                result = function(leaf)
            kept = live.now
            if backward:
                torch.autograd.grad(result, leaf, torch.ones_like(result))
    return Usage(kept, live.peak)


def measure_decoder(decoding: Decoding, latent: Tensor) -> Usage:
    """What a decoder needs for ``latent`` on its present level: measured on a part, in proportion to the area."""
    side = min(PROBE, decoding.tile or PROBE)
    part = latent[..., :side, :side]
    positions = part.shape[-2] * part.shape[-1]
    scale = latent.shape[-2] * latent.shape[-1] / positions
    if decoding.tile == 0:
        return measure(decoding, part).times(scale)
    # Once over the whole without a gradient, then tile by tile, with the image and its gradient there all the time.
    forward = measure(lambda z: decoding.with_statistics(z)[0], part, backward=False).times(scale)
    tile = measure(decoding, part).times(math.prod(decoding.extents(latent)) / positions)
    return Usage(forward.kept, max(forward.peak, 2 * forward.kept + tile.peak))


@dataclass(frozen=True)
class Needs:
    """What an evaluation of the objective with its gradient needs.

    Attributes:
        call: one call of the network.
        decoder: from the clean latent to the image.
        objective: from the image to its value.
    """

    call: Usage
    decoder: Usage
    objective: Usage

    def peak(self, kept: int) -> int:
        """Bytes at once, ``OVERHEAD`` included, with so many calls kept: they are there while the image is decoded."""
        tail = max(self.decoder.kept + self.objective.peak, self.decoder.peak)
        again = self.call.peak - self.call.kept if kept else 0
        return WORKSPACE + int(OVERHEAD * max(kept * self.call.kept + max(tail, again), self.call.peak))

    def call_fits(self, free: int) -> bool:
        """Whether a call of the network alone is within ``SHARE`` of the free bytes."""
        return WORKSPACE + int(OVERHEAD * self.call.peak) <= SHARE * free

    def fits(self, kept: int, free: int) -> bool:
        """Whether that is within ``SHARE`` of the free bytes."""
        return self.peak(kept) <= SHARE * free

    def kept(self, free: int, calls: int) -> int:
        """How many of the calls can be kept."""
        return max((k for k in range(calls + 1) if self.fits(k, free)), default=0)


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device, with what PyTorch holds in reserve; None where it cannot be told."""
    if device.type == "cuda":
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + reserve
    if device.type == "cpu" and MEMINFO.exists():
        found = re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text(encoding="ascii"))
        return None if found is None else int(found[1]) * 1024
    return None


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the objective with its gradient, in parts that can be measured.

    Attributes:
        network: one call, of a latent like ``latent``.
        decoding: from the clean latent to the image.
        objective: of an image like ``image``.
        latent: (B, C, H, W).
        image: (B, 3, h, w).
        calls: of the network, those with a gradient.
        tile: latent positions a side of the tiles in which network and decoder see the latent; 0 = they see it whole.
        denoising: what ``network`` calls, if it can be asked to need less memory.
    """

    network: Callable[[Tensor], Tensor]
    decoding: Decoding
    objective: Callable[[Tensor], Tensor]
    latent: Tensor
    image: Tensor
    calls: int
    tile: int = 0
    denoising: Denoising | None = None

    def needs(self, limit: int | None = None) -> Needs:
        """Measure: network and objective are run once, forwards and backwards, the decoder on a part.

        Raises:
            MemoryError: if a call of the network needs more than ``limit`` bytes.
        """
        return Needs(self.call(limit), self.decoder(), measure(self.objective, self.image))

    def call(self, limit: int | None = None) -> Usage:
        """What a call of the network needs on its present level."""
        call = measure(self.network, self._seen, limit=limit)
        if self.tile:  # a kept call keeps what enters its tiles, and what joins them
            call = replace(call, kept=3 * self.latent.nbytes)
        return call

    def lighter_network(self) -> bool:
        """Have the network need less; False if it cannot."""
        return self.denoising is not None and self.denoising.lighter()

    def decoder(self) -> Usage:
        """What the decoder needs on its present level."""
        found = measure_decoder(self.decoding, self._seen)
        if not self.tile:
            return found
        # Kept besides the image: the tiles' weights, of one channel, where they overlap more than once.
        return Usage(2 * self.image.nbytes, found.peak + BUFFERS * self.image.nbytes)

    @property
    def _seen(self) -> Tensor:
        return self.latent[..., : self.tile, : self.tile] if self.tile else self.latent


@dataclass(frozen=True)
class Decision:
    """How an evaluation is run so that it fits into the free memory.

    Attributes:
        strategy: how gradients pass through the network's calls.
        decoding: the decoder on the level that fits.
        note: what was measured and chosen, in words.
        denoising: the network on the level that fits, where it has levels.
    """

    strategy: GradientStrategy
    decoding: Decoding
    note: str
    denoising: Denoising | None = None


def plan(
    evaluation: Evaluation, make: Callable[[int], GradientStrategy], room: Callable[[int], int | None]
) -> Decision:
    """Choose how many calls are kept, and the decoder's level, so that an evaluation fits into the free memory.

    Args:
        evaluation: what is going to be run; it stays as it is.
        make: a strategy for so many calls whose activations memory holds.
        room: is told how many bytes would be welcome, and returns how many are free; None if it cannot tell: then no
            call is kept and the decoder stays as it is.

    Raises:
        MemoryError: if not even a part of the evaluation can be measured.
    """
    evaluation = replace(evaluation, decoding=copy(evaluation.decoding))
    needs, calls = _measured(evaluation, room), evaluation.calls
    free = room(needs.peak(calls))
    while free is not None and not needs.fits(0, free):
        # The network first if it alone is too much: all that its lower level costs is time.
        if needs.call_fits(free) and evaluation.decoding.lighter():
            needs = replace(needs, decoder=evaluation.decoder())
        elif evaluation.lighter_network():
            needs = replace(needs, call=evaluation.call())
        elif evaluation.decoding.lighter():
            needs = replace(needs, decoder=evaluation.decoder())
        else:
            break
    strategy = make(0 if free is None else needs.kept(free, calls))
    kept = min(strategy.kept, calls)
    denoising = evaluation.denoising
    whole = denoising is None or not denoising.by_blocks
    parts = (
        f"{kept} of {calls} network calls kept, {gib(needs.call.kept)} each"
        f"{'' if whole else ' and ' + gib(needs.call.peak) + ' at once, by blocks'}; the decoder "
        f"{gib(needs.decoder.peak)}, {evaluation.decoding.name}"
    )
    known = "an unknown amount" if free is None else gib(free)
    warning = "" if free is None or needs.peak(kept) <= free else "; more than is free, it may have to do with less"
    note = f"memory for an iteration: about {gib(needs.peak(kept))} of {known} free ({parts}){warning}"
    return Decision(strategy, evaluation.decoding, note, denoising)


def plan_path(
    name: str,
    path: LatentPath,
    denoising: Denoising,
    decoding: Decoding,
    objective: Objective,
    tile: int,
    room: Callable[[int], int | None],
    keeps: bool = True,
) -> Decision:
    """``plan`` for the ascent of a path by a strategy's name; ``denoising`` and ``decoding`` are those without tiles.

    ``keeps``: whether calls whose activations are kept give the values of calls without a gradient. If not, none is.
    """
    sigma, denoising = path.schedule.sigmas[0], copy(denoising)
    _, calls = make_gradient(name).calls(make_solver(path.solver), path.schedule.steps)
    evaluation = Evaluation(
        lambda u: denoising(u, sigma),
        decoding,
        lambda image: objective(image).objective,
        path.latent,
        objective.backdrop,
        calls,
        tile,
        denoising,
    )

    def make(kept: int) -> GradientStrategy:
        strategy = make_gradient(name, kept)
        return strategy if keeps or strategy.kept == 0 else make_gradient(AUTO if strategy.exact else name)

    return plan(evaluation, make, room)


def _measured(evaluation: Evaluation, room: Callable[[int], int | None]) -> Needs:
    """What it needs; where a call is too much for all the room there can be, the network by blocks.

    Raises:
        MemoryError: if there is no memory even for that.
    """
    for wanted in (0, EVERYTHING):  # other models go only if they must
        found = _tried(evaluation, room(wanted))
        if found is not None:
            return found
    evaluation.lighter_network()
    found = _tried(evaluation, None)
    if found is None:
        raise MemoryError(TOO_LARGE)
    return found


def _tried(evaluation: Evaluation, free: int | None) -> Needs | None:
    """What it needs, or None if that is more than is free."""
    try:
        return evaluation.needs(free)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator's or the CPU's allocator found no memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def gib(number: float) -> str:
    """Bytes as people read them."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
