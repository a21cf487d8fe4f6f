"""The ascent: rises, stops, keeps the best, treats images alone, survives interrupts."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch import Tensor

from dmap.image.plot import plot_trace
from dmap.method.ascent import Ascent, AscentSettings
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.objective import Objective
from dmap.method.rules import RULES, make_rule
from dmap.method.schedule import Schedule
from dmap.method.solvers import SOLVERS, make_solver
from dmap.method.trace import Trace
from toys import TABLE, SmoothnessPrior, latents, network_denoiser

STEP = {"adam": 1e-3, "momentum": 0.2}


def decode(latent: Tensor) -> Tensor:
    """Latent (B, 4, h, w) -> image (B, 3, 4h, 4w), within [0, 1] for latents of unit scale."""
    image = torch.nn.functional.interpolate(latent[:, :3], scale_factor=4, mode="bilinear")
    return torch.sigmoid(image)


def make(
    solver: str = "residual_ddim", batch: slice = slice(0, 2), settings: AscentSettings | None = None, **options: object
) -> Ascent:
    latent = latents()[batch]
    path = make_solver(solver).invert(network_denoiser(), Schedule.from_table(TABLE, 3, 0.4), latent)
    photograph = decode(latent)
    defaults = {"prior_weight": 1.0, "fidelity_weight": 20.0, "shift": 0}
    objective = Objective(SmoothnessPrior(), fidelity("mse"), photograph, **{**defaults, **options})  # type: ignore[arg-type]
    chain = Chain(path, network_denoiser(), decode)
    return Ascent(chain, objective, settings or AscentSettings(iterations=3, step_size=1e-3, target_score=101.0))


@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.parametrize("rule", list(RULES))
def test_objective_rises_for_a_small_step(solver: str, rule: str) -> None:
    ascent = make(solver, settings=AscentSettings(5, rule, STEP[rule], 101.0))
    ascent.run()
    for image in range(2):
        values = [row.objective[image] for row in ascent.trace.rows]
        assert len(values) == 6
        assert all(later > earlier for earlier, later in itertools.pairwise(values))
    assert ascent.trace.best_iteration == [5, 5]
    assert ascent.trace.stopped == ["iterations", "iterations"]


def test_it_climbs_where_the_caller_has_turned_gradients_off() -> None:
    """A host runs nodes without gradients; the ascent turns them on for itself."""
    with torch.no_grad():
        ascent = make()
        ascent.run()
    assert ascent.trace.rows[-1].objective[0] > ascent.trace.rows[0].objective[0]


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_the_best_path_gives_the_best_image(solver: str) -> None:
    ascent = make(solver)
    ascent.run()
    chain = Chain(ascent.path, network_denoiser(), decode)
    assert ascent.image is not None
    assert torch.allclose(chain(chain.start()).clamp(0, 1), ascent.image, atol=1e-9)


def test_best_iterate_is_kept_when_the_step_is_too_large() -> None:
    ascent = make(settings=AscentSettings(6, "adam", 3.0, 101.0), fidelity_weight=1000.0)
    ascent.run()
    for image in range(2):
        values = [row.objective[image] for row in ascent.trace.rows]
        assert ascent.trace.best_iteration[image] == values.index(max(values))
    assert max(row.objective[0] for row in ascent.trace.rows) > ascent.trace.rows[-1].objective[0]


def test_the_current_image_is_that_of_the_terms() -> None:
    """What is shown while it runs is what the last row speaks of, better or worse than the best."""
    ascent, pairs = make(settings=AscentSettings(4, "adam", 3.0, 101.0), fidelity_weight=1000.0), []
    ascent.run(lambda state: pairs.append((state.current, state.trace.rows[-1].prior)))
    for current, scores in pairs:
        assert ascent.objective.prior(current).tolist() == pytest.approx(scores)
    assert not torch.equal(ascent.current, ascent.image)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", [0, 4])
def test_batch_equals_singles(shift: int) -> None:
    settings = AscentSettings(4, "adam", 0.05, 101.0)
    both = make(settings=settings, shift=shift, seed=7)
    both.run()
    for index in range(2):
        alone = make(batch=slice(index, index + 1), settings=settings, shift=shift, seed=7)
        alone.run()
        assert both.image is not None
        assert alone.image is not None
        assert torch.allclose(both.image[index], alone.image[0], atol=1e-9)
        assert [r.objective[index] for r in both.trace.rows] == pytest.approx(
            [r.objective[0] for r in alone.trace.rows]
        )


def test_each_image_stops_at_its_target() -> None:
    free = make(settings=AscentSettings(8, "adam", 0.05, 101.0))
    free.run()
    scores = torch.tensor([row.prior for row in free.trace.rows], dtype=torch.float64)
    target = float(scores[4].max())
    early = int(scores[4].argmax())
    ascent = make(settings=AscentSettings(8, "adam", 0.05, target))
    ascent.run()
    assert ascent.trace.stopped[early] == "target"
    reached = [row.prior[early] for row in ascent.trace.rows]
    first = next(i for i, score in enumerate(reached) if score >= target)
    assert all(score == pytest.approx(reached[first]) for score in reached[first:])
    other = 1 - early
    running = [row.prior[other] for row in ascent.trace.rows]
    assert running == pytest.approx(scores[: len(running), other].tolist(), abs=1e-6)


def test_deterministic_under_a_seed() -> None:
    results = []
    for seed in (3, 3, 4):
        ascent = make(settings=AscentSettings(3, "adam", 0.05, 101.0), shift=6, seed=seed)
        ascent.run()
        results.append(ascent.image)
    assert torch.equal(results[0], results[1])  # type: ignore[arg-type]
    assert not torch.equal(results[0], results[2])  # type: ignore[arg-type]


def test_an_interrupt_leaves_the_best_so_far() -> None:
    ascent = make(settings=AscentSettings(10, "adam", 0.01, 101.0))

    def stop(state: Ascent) -> None:
        if len(state.trace.rows) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ascent.run(stop)
    assert ascent.image is not None
    assert ascent.trace.best_iteration == [3, 3]
    assert ascent.trace.stopped == ["running", "running"]


def test_a_fault_late_in_a_run_leaves_the_best_so_far() -> None:
    ascent = make(settings=AscentSettings(10, "adam", 0.01, 101.0))
    inner, calls = ascent.chain.decode, 0

    def failing(latent: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return inner(latent) * (float("nan") if calls > 3 else 1.0)

    ascent.chain.decode = failing
    with pytest.raises(FloatingPointError, match="step_size"):
        ascent.run()
    assert ascent.image is not None
    assert torch.isfinite(ascent.image).all()
    assert ascent.trace.best_iteration == [2, 2]


def test_a_broken_start_is_named() -> None:
    ascent = make()
    ascent.chain.decode = lambda latent: latent[:, :3].repeat(1, 1, 4, 4) * float("nan")
    with pytest.raises(ValueError, match="before any change"):
        ascent.run()


def test_momentum_is_the_authors_rule() -> None:
    rule = make_rule("momentum", 2.0)
    gradient = torch.tensor([5.0, 5e-4, -5.0])
    first, second = rule.change(gradient), rule.change(gradient)
    assert torch.allclose(first, torch.tensor([2e-3, 1e-3, -2e-3]))
    assert torch.allclose(second, 1.9 * first)


def test_adam_agrees_with_torch() -> None:
    rule, parameter = make_rule("adam", 0.1), torch.zeros(3, requires_grad=True)
    reference = torch.optim.Adam([parameter], lr=0.1, betas=(0.9, 0.99), eps=1e-12, maximize=True)
    warm_up = torch.optim.lr_scheduler.LinearLR(reference, start_factor=0.25, total_iters=3)
    value = torch.zeros(3)
    for step in range(6):
        gradient = torch.tensor([1.0, -2.0, 0.5]) * (step + 1)
        parameter.grad = gradient.clone()
        reference.step()
        warm_up.step()
        value = value + rule.change(gradient)
    assert torch.allclose(value, parameter.detach(), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: AscentSettings(iterations=0), "iterations"),
        (lambda: AscentSettings(rule="sgd"), "rule"),
        (lambda: make_rule("adam", 0.0), "step_size"),
        (lambda: make_rule("sgd", 1.0), "rule"),
        (lambda: make(prior_weight=-1.0), "prior_weight"),
        (lambda: make(prior_weight=0.0, fidelity_weight=0.0), "nothing to optimise"),
        (lambda: make(shift=30), "shift"),
        (lambda: plot_trace(Trace()), "trace"),
    ],
)
def test_bad_values_are_named(build: object, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        build()  # type: ignore[operator]


def test_trace_plot_and_json() -> None:
    ascent = make(settings=AscentSettings(3, "adam", 0.02, 101.0))
    ascent.run()
    picture = plot_trace(ascent.trace)
    assert picture.shape == (1, 3, 640, 960)
    assert float(picture.min()) >= 0.0
    assert len(picture.flatten(2).unique(dim=2)[0, 0]) > 3  # lines, grid and ink on white
    saved = json.loads(ascent.trace.to_json())
    assert [row["iteration"] for row in saved["rows"]] == [0, 1, 2, 3]
    assert saved["settings"]["rule"] == "adam"
    norms = [row.latent_norm[0] for row in ascent.trace.rows]
    assert norms[0] == pytest.approx(1.0, abs=0.1)
