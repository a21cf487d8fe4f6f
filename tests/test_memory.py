"""Memory: stated before the run, held, and out-of-memory answered step by step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dmap.image.layout import Layout
from dmap.image.tiles import lay_out, tiled_fidelity, tiled_prior
from dmap.memory import plan as memory
from dmap.memory.blocks import Denoising
from dmap.memory.decoding import LEVELS, Decoding
from dmap.method.ascent import Ascent, AscentSettings
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.gradients import ALL, GradientStrategy, make_gradient
from dmap.method.objective import Objective
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from dmap.models.diffusion import shipped
from dmap.priors import load_prior
from tools.benchmarks.step import PeakMemory
from tools.demo import SAMPLE, pixels
from toys import TABLE, SmoothnessPrior, latents, network_denoiser


def test_measuring_counts_what_is_kept_and_what_is_there_at_once() -> None:
    layer = nn.Linear(64, 64, bias=False).requires_grad_(False)
    x = torch.randn(10, 64)
    one = x.nbytes
    # Linear in x: only weights are saved, which were there before; the result, and later its gradient and x's.
    assert memory.measure(layer, x) == memory.Usage(kept=one, peak=3 * one)
    # The layer's result is saved by the sine; at its backward pass two gradients are there as well.
    assert memory.measure(lambda u: layer(u).sin(), x).kept == 2 * one
    # In place, or a view: no more memory.
    assert memory.measure(lambda u: layer(u).mul_(2.0).view(-1), x).kept == one
    # Copies of weights, as hosts with other weights than computing precision make them, count.
    assert memory.measure(lambda u: u.double() @ layer.weight.double(), x).kept == layer.weight.nbytes * 2 + 2 * one
    # Without a gradient nothing stays but the result.
    assert memory.measure(lambda u: layer(u).sin().cos(), x, backward=False) == memory.Usage(one, 2 * one)
    meta = nn.Linear(64, 64, bias=False, device="meta").requires_grad_(False)
    assert memory.measure(meta, x.to("meta")) == memory.Usage(one, 3 * one)


def test_a_write_in_place_counts_the_same_without_data() -> None:
    """Tensors without data have no address: what is written into must not be taken for everything that is saved."""
    counted = []
    for device in ("cpu", "meta"):
        weights = [torch.ones(64, 64, device=device) for _ in range(3)]

        def network(x: Tensor, weights: list[Tensor] = weights) -> Tensor:
            for weight in weights:
                x = (x @ weight).sigmoid()
            written = x.clone()
            written += 1
            return written * x

        counted.append(memory.measure(network, torch.ones(1, 64, device=device)))
    assert counted[0] == counted[1]


def evaluation(size: int, steps: int, batch: int = 1, tile: int = 0, level: str = "whole") -> tuple[Any, Any]:
    """An ascent step of the shipped models on the sample, by the strategy that a kept number makes; and its parts."""
    model, layout = shipped(), Layout(tile=tile, overlap=tile // 8)
    photograph = pixels(SAMPLE)[..., 40 : 40 + size, 60 : 60 + size].repeat(batch, 1, 1, 1)
    decoding, solver = model.decoding(), make_solver("residual_ddim")
    while decoding.name != level:
        decoding.lighter()
    prior, distance = load_prior("dmap_quality").requires_grad_(False), fidelity("nlpd_colour")
    objective = Objective(tiled_prior(prior, layout), tiled_fidelity(distance, layout), photograph, shift=8)
    latent = model.encode(photograph)
    ratio = size // latent.shape[-1]
    denoise, _ = lay_out(model.denoise, decoding, layout, ratio, latent, photograph)
    with torch.no_grad():
        path = solver.invert(denoise, Schedule.from_table(model.table, steps, 0.2), latent)

    def step(strategy: GradientStrategy, chosen: Decoding = decoding) -> None:
        _, decode = lay_out(model.denoise, chosen, layout, ratio, latent, photograph)
        chain = Chain(path, denoise, decode, strategy, chosen)
        z = chain.start().requires_grad_(True)
        torch.autograd.grad(objective(chain(z)).objective.sum(), z)

    parts = memory.Evaluation(
        lambda u: model.denoise(u, path.schedule.sigmas[0]),
        decoding,
        lambda image: objective(image).objective,
        latent,
        photograph,
        steps,
        tile // ratio,
    )
    return parts, step


@pytest.mark.parametrize(
    ("name", "kept", "options"),
    [
        ("checkpoint", 0, {"size": 160, "steps": 4}),
        ("auto", 2, {"size": 160, "steps": 4}),
        ("keep", ALL, {"size": 96, "steps": 4, "batch": 2}),
        ("sparse", ALL, {"size": 160, "steps": 4}),
        ("checkpoint", 0, {"size": 160, "steps": 1, "level": "blocks"}),
        ("checkpoint", 0, {"size": 256, "steps": 1, "level": "tiles of 16"}),
        ("auto", ALL, {"size": 256, "steps": 1, "tile": 128}),
    ],
)
def test_what_a_step_needs_is_stated_before_it_is_taken(name: str, kept: int, options: dict[str, Any]) -> None:
    """The tensors that it really has at once are never more than stated, nor much less."""
    parts, step = evaluation(**options)
    strategy = make_gradient(name, kept)
    _, calls = strategy.calls(make_solver("residual_ddim"), options["steps"])
    with memory.Live() as live:
        step(strategy)
    stated = (parts.needs().peak(min(strategy.kept, calls)) - memory.WORKSPACE) / memory.OVERHEAD
    assert live.peak <= 1.02 * stated
    assert stated <= (2.0 if options.get("tile") else 1.1) * live.peak


def test_the_process_takes_no_more_than_stated() -> None:
    """Workspaces and all, by the kernel's count."""
    parts, step = evaluation(size=256, steps=2)
    stated = parts.needs().peak(2)
    step(make_gradient("keep"))  # what is made once, such as thread pools, is none of a step's
    resident = PeakMemory(torch.device("cpu"))
    step(make_gradient("keep"))
    assert 0.5 * stated < resident.bytes() <= stated


@pytest.mark.parametrize("megabytes", [400, 220, 182, 155, 140])
def test_the_plan_is_held(megabytes: int) -> None:
    """Whatever is free: as many calls are kept as fit, and the decoder goes as far down as it must."""
    parts, step = evaluation(size=256, steps=2)
    free = megabytes * 2**20
    decision = memory.plan(parts, partial(make_gradient, "auto"), lambda _: free)
    strategy, text = decision.strategy, decision.note
    parts = replace(parts, decoding=decision.decoding)
    assert "more than is free" not in text
    with memory.Live() as live:
        step(strategy, decision.decoding)
    assert live.peak * memory.OVERHEAD + memory.WORKSPACE <= free
    needs = parts.needs()
    assert not needs.fits(min(strategy.kept, 2) + 1, free) or strategy.kept == 2


def toy(network: object = lambda u: u.sin().cos(), decode: object = None) -> memory.Evaluation:
    latent = latents(1, 4, 64)
    decoding = Decoding(decode or picture)  # type: ignore[arg-type]
    return memory.Evaluation(network, decoding, lambda x: x.sum(dim=(1, 2, 3)), latent, picture(latent), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("free", "kept", "level"),
    [(2**30, 3, "whole"), (0, 0, LEVELS[-1])],
)
def test_the_plan_says_what_it_chose(free: int, kept: int, level: str) -> None:
    parts, asked = toy(), []

    def room(wanted: int) -> int:
        asked.append(wanted)
        return free

    decision = memory.plan(parts, partial(make_gradient, "auto"), room)
    text = decision.note
    assert (decision.strategy.kept, decision.decoding.name) == (kept, level)
    assert parts.decoding.name == "whole"  # what is asked about stays as it is
    assert f"{kept} of 3 network calls kept" in text
    assert level in text
    assert ("more than is free" in text) == (free == 0)
    # Nothing while it measures, if there is enough; then all calls kept would be welcome.
    assert asked == [0, *([] if free else [memory.EVERYTHING]), toy().needs().peak(3)]


def test_where_free_memory_is_not_known_the_gradient_stays_exact() -> None:
    parts = toy()
    decision = memory.plan(parts, partial(make_gradient, "auto"), lambda _: None)
    assert (decision.strategy.kept, decision.decoding.name) == (0, "whole")
    assert "an unknown amount free" in decision.note


def test_measuring_that_runs_out_of_memory_asks_for_room_once_more() -> None:
    asked: list[int] = []
    hungry = Hungry(picture, limit=0, failures=1)
    memory.plan(toy(hungry), partial(make_gradient, "auto"), lambda wanted: asked.append(wanted) or 2**40)
    assert asked[:2] == [0, memory.EVERYTHING]
    with pytest.raises(MemoryError, match="gradient: out of memory for a single call of the network"):
        memory.plan(toy(Hungry(picture, limit=0)), partial(make_gradient, "auto"), lambda _: 2**40)


def test_free_memory_is_what_the_system_says_is_available() -> None:
    import psutil

    assert memory.free_bytes(torch.device("cpu")) == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert memory.free_bytes(torch.device("meta")) is None


def test_what_counts_as_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)  # the allocator's own error
    assert memory.is_out_of_memory(caught.value)
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not memory.is_out_of_memory(RuntimeError("shapes do not fit"))


class Hungry:
    """A network or decoder that asks the allocator for too much where more than ``limit`` positions have gradients."""

    def __init__(self, inner: object, limit: int, failures: int = 10**6) -> None:
        self.inner, self.limit, self.most = inner, limit, failures
        self.failures = 0

    def __call__(self, x: Tensor, *rest: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad and x.shape[-1] > self.limit and self.failures < self.most:
            self.failures += 1
            torch.empty(2**60)
        result: Tensor = self.inner(x, *rest)  # type: ignore[operator]
        return result


def climb(decode: object, kept: int = ALL) -> Ascent:
    latent = latents(1, 4, 48)
    schedule = Schedule.from_table(TABLE, 3, 0.2)
    path = make_solver("residual_ddim").invert(network_denoiser(), schedule, latent)
    objective = Objective(SmoothnessPrior(), fidelity("mse"), torch.sigmoid(latent[:, :3]), 1.0, 20.0, 0)
    chain = Chain(path, network_denoiser(), Decoding(decode), make_gradient("auto", kept))  # type: ignore[arg-type]
    return Ascent(chain, objective, AscentSettings(3, "adam", 1e-3, 101.0))


def picture(latent: Tensor) -> Tensor:
    return torch.sigmoid(latent[:, :3])


def test_out_of_memory_is_answered_step_by_step_and_the_result_is_the_same() -> None:
    plain, decode = climb(picture), Hungry(picture, limit=40)
    plain.run()
    ascent = climb(decode)
    ascent.run()
    assert [note.partition("went on with ")[2] for note in ascent.trace.notes] == [
        "activations kept of 1 calls",
        "activations kept of 0 calls",
        *(f"decoder's gradient by {level}" for level in LEVELS[1:]),
    ]
    assert decode.failures == 6
    assert ascent.image is not None
    assert plain.image is not None
    assert torch.allclose(ascent.image, plain.image, atol=1e-12)
    assert [r.objective for r in ascent.trace.rows] == [pytest.approx(r.objective) for r in plain.trace.rows]


@pytest.mark.parametrize("kept", [0, 1, ALL])
def test_an_evaluation_that_fails_leaves_nothing_behind(kept: int) -> None:
    """Networks save their own results, as softmax and attention do: references that would keep themselves alive."""
    network = network_denoiser()
    path = make_solver("residual_ddim").invert(network, Schedule.from_table(TABLE, 3, 0.2), latents(1, 4, 48))
    chain = Chain(
        path, lambda u, sigma: network(u, sigma).tanh().exp(), Hungry(picture, 0), make_gradient("auto", kept)
    )
    with memory.Live() as live:
        z = chain.start().requires_grad_(True)
        before = live.now
        with pytest.raises(RuntimeError, match="allocate"):
            chain(z)
        assert live.now == before


# Address space: one arena, and everything large on its own, so that what is freed counts as free at once.
STARVED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of address space are Linux's")
@pytest.mark.parametrize(("megabytes", "most"), [(150, 2), (108, 4)])
def test_a_real_lack_of_memory_is_worked_around(megabytes: int, most: int) -> None:
    """The allocator itself refuses; on exact levels the objectives are those of an ascent without a limit."""
    here = Path(__file__).parent
    environment = {**os.environ, **STARVED, "PYTHONPATH": f"{here.parent}{os.pathsep}{here}"}
    command = [sys.executable, "-m", "starved", str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=here.parent)
    found = json.loads(done.stdout.splitlines()[-1])
    notes = found["keep"]["notes"]
    assert 1 <= len(notes) <= most
    # At the edge of a level it may first fit and lack a little in the next iteration, by how the address space is cut.
    assert all(re.match(r"gradient: out of memory in iteration \d, went on with ", note) for note in notes)
    assert found["keep"]["objectives"] == pytest.approx(found["checkpoint"]["objectives"], rel=1e-5)
    assert found["keep"]["error"] == found["checkpoint"]["error"] == ""


def test_out_of_memory_for_good_names_what_to_do_and_keeps_the_best() -> None:
    ascent = climb(picture)
    decode = ascent.chain.decode
    assert isinstance(decode, Decoding)

    def starve(state: Ascent) -> None:
        if len(state.trace.rows) == 2:
            decode._decode = Hungry(picture, limit=0)

    with pytest.raises(MemoryError, match="use a smaller image or batch"):
        ascent.run(starve)
    assert ascent.image is not None
    assert len(ascent.trace.rows) == 2


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(_: Tensor) -> Tensor:
        raise RuntimeError("shapes do not fit")

    ascent = climb(broken)
    with pytest.raises(RuntimeError, match="shapes"):
        ascent.run()
    assert ascent.trace.notes == []


@pytest.mark.parametrize(("name", "kept"), [("auto", 0), ("keep", 0), ("sparse", 0)])
def test_no_call_is_kept_where_kept_ones_have_other_values(name: str, kept: int) -> None:
    """Quantised weights compute a little differently with a gradient: inversion and ascent are to see the same."""
    latent = latents(1, 4, 48)
    path = make_solver("residual_ddim").invert(network_denoiser(), Schedule.from_table(TABLE, 3, 0.2), latent)
    objective = Objective(SmoothnessPrior(), fidelity("mse"), torch.sigmoid(latent[:, :3]), 1.0, 20.0, 0)
    for keeps in (True, False):
        decision = memory.plan_path(
            name, path, Denoising(network_denoiser()), Decoding(picture), objective, 0, lambda _: 2**40, keeps
        )
        assert (decision.strategy.kept > 0) == keeps
        assert keeps or decision.strategy.kept == kept


class Deep(torch.nn.Module):
    """Many blocks, each of which keeps several times what enters it."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Conv2d(4, 4, 1), torch.nn.Tanh(), torch.nn.Softplus(), torch.nn.SiLU())
            for _ in range(40)
        )
        self.double().requires_grad_(False)

    def forward(self, u: Tensor) -> Tensor:
        for block in self.blocks:
            u = u + 0.01 * block(u)
        return u


def test_a_call_that_does_not_fit_is_computed_by_blocks() -> None:
    """The plan finds out without taking the memory, and says so; with enough of it the call stays whole."""
    network, latent = Deep(), latents(1, 4, 256)

    def denoise(u: Tensor, sigma: Tensor) -> Tensor:
        return u - sigma * network(u)

    path = make_solver("residual_ddim").invert(denoise, Schedule.from_table(TABLE, 2, 0.2), latent)
    objective = Objective(SmoothnessPrior(), fidelity("mse"), torch.sigmoid(latent[:, :3]), 1.0, 20.0, 0)
    whole = memory.measure(lambda u: denoise(u, path.schedule.sigmas[0]), latent)
    for free, by_blocks in ((2**40, False), (memory.WORKSPACE + whole.peak // 2, True)):
        made = memory.plan_path(
            "auto", path, Denoising(denoise, network), Decoding(picture), objective, 0, lambda _, free=free: free
        )
        assert made.denoising is not None
        assert made.denoising.by_blocks == by_blocks
        assert ("at once, by blocks" in made.note) == by_blocks
        assert "more than is free" not in made.note
