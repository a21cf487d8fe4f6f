"""Properties of every gradient strategy: the value never changes, the cost is as stated, exact is exact."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dmap.method.chain import Chain
from dmap.method.denoiser import Denoiser, gaussian_denoiser
from dmap.method.fidelity import fidelity
from dmap.method.gradients import ALL, AUTO, GRADIENTS, GradientStrategy, Keep, make_gradient
from dmap.method.objective import Objective
from dmap.method.path import LatentPath
from dmap.method.schedule import Schedule, flow_table
from dmap.method.solvers import SOLVERS, make_solver
from dmap.models.diffusion import shipped
from dmap.priors import load_prior
from dmap.settings import Settings
from tools.benchmarks.meter import Meter
from tools.demo import SAMPLE, pixels
from toys import TABLE, latents, network_denoiser

each_strategy = pytest.mark.parametrize("name", [AUTO, *GRADIENTS])
each_solver = pytest.mark.parametrize("solver", list(SOLVERS))


def invert(solver: str, steps: int = 5, denoise: Denoiser | None = None, latent: Tensor | None = None) -> LatentPath:
    schedule = Schedule.from_table(TABLE, steps, 0.4)
    return make_solver(solver).invert(denoise or network_denoiser(), schedule, latents() if latent is None else latent)


def value_and_gradient(path: LatentPath, denoise: Denoiser, strategy: GradientStrategy | None) -> tuple[Tensor, Tensor]:
    """Of a sum over the sampled latent, half a deviation away from the path's own point; None: plain autograd."""
    solver = make_solver(path.solver)
    state = (path.state + 0.5 * latents(seed=8)).requires_grad_(True)
    with torch.enable_grad():
        result = solver.sample(denoise, path, state) if strategy is None else None
        result = strategy.sample(solver, denoise, path, state) if strategy is not None else result
        assert result is not None
        (gradient,) = torch.autograd.grad(result.sin().sum(), state)
    return result.detach(), gradient


def cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0))


@each_strategy
@each_solver
@pytest.mark.parametrize("kept", [0, 3, ALL])
def test_the_value_is_the_solvers_and_exact_is_exact(name: str, solver: str, kept: int) -> None:
    path, strategy = invert(solver), make_gradient(name, kept)
    plain, exact = value_and_gradient(path, network_denoiser(), None)
    value, gradient = value_and_gradient(path, network_denoiser(), strategy)
    assert torch.equal(value, plain)
    if strategy.exact:
        assert torch.allclose(gradient, exact, rtol=1e-12, atol=1e-13)
    else:
        assert not torch.allclose(gradient, exact, rtol=1e-6)
        assert cosine(gradient, exact) > 0.9


@each_strategy
@each_solver
@pytest.mark.parametrize(("steps", "kept"), [(5, 0), (4, 3), (1, 1)])
def test_the_cost_is_as_stated(name: str, solver: str, steps: int, kept: int) -> None:
    path, strategy = invert(solver, steps), make_gradient(name, kept)
    meter = Meter(network_denoiser())
    value_and_gradient(path, meter, strategy)
    assert meter.passes == strategy.passes(make_solver(solver), steps)
    with torch.no_grad():
        before = meter.passes
        strategy.sample(make_solver(solver), meter, path, path.state)
    assert meter.passes - before == make_solver(solver).evaluations * steps


@each_strategy
@pytest.mark.parametrize("kept", [0, 2, ALL])
def test_networks_that_write_in_place_do_no_harm(name: str, kept: int) -> None:
    """Every call, and the decoder, overwrites a buffer that earlier calls saved; plain autograd would not notice."""
    path, clean = invert("residual_ddim", 4), network_denoiser()
    buffer, calls = torch.zeros(2, 4, 8, 8, dtype=torch.float64), 0

    def overwrite(value: float) -> None:
        with torch.no_grad():
            buffer.data.fill_(value)  # .data: the version counter does not see it

    def rude(u: Tensor, sigma: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        overwrite(1.0 + calls)
        return (clean(u, sigma) / (1.0 + calls)) * buffer.data

    def rude_decode(latent: Tensor) -> Tensor:
        overwrite(float("nan"))
        return latent.sin()

    results = []
    for denoise, decode in ((clean, torch.sin), (rude, rude_decode)):
        chain = Chain(path, denoise, decode, make_gradient(name, kept))
        z = chain.start().requires_grad_(True)
        image = chain(z)
        results.append((image.detach(), torch.autograd.grad(image.sum(), z)[0]))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-12)


def test_the_sparse_jacobian_in_closed_form() -> None:
    """With a Gaussian's denoiser a step multiplies by 1 + h s / (v + s^2): the even steps, weighted, and no others."""
    variance, denoise = 2.0, gaussian_denoiser(2.0)
    path = invert("residual_ddim", 5, denoise)
    _, gradient = value_and_gradient(path, denoise, make_gradient("sparse"))
    value, exact = value_and_gradient(path, denoise, None)
    s, expected = path.schedule.sigmas, torch.ones((), dtype=torch.float64)
    for i in (0, 2, 4):
        expected = expected * (1 + (s[min(i + 2, 5)] - s[i]) * s[i] / (variance + s[i] ** 2))
    assert torch.allclose(gradient[0], expected * value.cos(), atol=1e-12)
    assert float(gradient.norm() / exact.norm()) == pytest.approx(1.0, abs=0.05)


def test_each_image_of_a_batch_has_its_own_gradient() -> None:
    path = invert("edict", 4)
    for name in GRADIENTS:
        _, both = value_and_gradient(path, network_denoiser(), make_gradient(name))
        state = (path.state + 0.5 * latents(seed=8)).detach()[:, 1:].requires_grad_(True)
        alone = make_gradient(name).sample(make_solver("edict"), network_denoiser(), path.image(1), state)
        assert torch.allclose(torch.autograd.grad(alone.sin().sum(), state)[0], both[:, 1:], atol=1e-12)


# Per strategy: the least cosine that its text promises at the nodes' default settings.
PROMISED = {"checkpoint": 1 - 1e-6, "keep": 1 - 1e-6, "sparse": 0.99, "short_chain": 0.97}


def test_the_promised_accuracy_holds_on_the_shipped_models() -> None:
    settings, model = Settings(), shipped()
    photograph = pixels(SAMPLE)[..., 100:196, 160:256]
    solver = make_solver(settings.solver)
    schedule = Schedule.from_table(model.table, settings.steps, settings.strength)
    with torch.no_grad():
        path = solver.invert(model.denoise, schedule, model.encode(photograph))
    prior = load_prior("dmap_quality").requires_grad_(False)
    objective = Objective(prior, fidelity(settings.fidelity), photograph, shift=0)
    gradients = {}
    assert list(PROMISED) == list(GRADIENTS)
    for name in GRADIENTS:
        chain = Chain(path, model.denoise, model.decode, make_gradient(name))
        moved = chain.start() + 0.03 * latents(1, 8, 24, torch.float32)
        z = moved.requires_grad_(True)
        gradients[name] = torch.autograd.grad(objective(chain(z)).objective.sum(), z)[0]
        assert cosine(gradients[name], gradients["checkpoint"]) >= PROMISED[name], name
        if not GRADIENTS[name].exact:
            assert f"{PROMISED[name]:g} at the default settings" in GRADIENTS[name].accuracy


def test_a_denoiser_in_bf16_gives_nearly_the_same_gradient() -> None:
    """Latents and solver stay in float32; the whole way, inversion included, with the other network."""
    exact, rounded = shipped(), shipped(dtype=torch.bfloat16)
    photograph, gradients = pixels(SAMPLE)[..., 100:164, 160:224], []
    solver, schedule = make_solver("residual_ddim"), Schedule.from_table(TABLE, 4, 0.2)
    for denoise in (exact.denoise, rounded.denoise):
        with torch.no_grad():
            path = solver.invert(denoise, schedule, exact.encode(photograph))
        chain = Chain(path, denoise, exact.decode)
        z = (chain.start() + 0.03 * latents(1, 8, 16, torch.float32)).requires_grad_(True)
        distance = fidelity("nlpd_colour")(chain(z), photograph)
        gradients.append(torch.autograd.grad(distance.sum(), z)[0])
        assert gradients[-1].dtype == torch.float32
    assert cosine(*gradients) > 0.99
    assert cosine(*gradients) < 1 - 1e-9


def test_bad_values_are_named() -> None:
    with pytest.raises(ValueError, match="gradient: got 'magic'"):
        make_gradient("magic")
    with pytest.raises(ValueError, match="kept: got -1"):
        make_gradient("auto", -1)
    assert isinstance(make_gradient("keep", 0), Keep)
    assert make_gradient("keep", 0).kept == ALL
    assert make_gradient("checkpoint", 5).kept == 0


def test_a_pair_swaps_roles_and_sparse_keeps_up() -> None:
    """With an even period one of EDICT's two would never have its Jacobian taken where it moves first."""
    solver, sparse = make_solver("edict"), make_gradient("sparse")
    assert sparse.calls(solver, 10) == (12, 8)
    assert sparse.calls(make_solver("residual_ddim"), 10) == (5, 5)
    path = invert("edict", 6)
    _, exact = value_and_gradient(path, network_denoiser(), None)
    _, gradient = value_and_gradient(path, network_denoiser(), sparse)
    assert cosine(gradient, exact) > 0.98


def test_gradients_of_a_pair_that_are_far_from_exact_are_warned_of() -> None:
    """What docs/cost.md measured below 0.9: a short chain of more than 4 steps, sparse far into the noise."""
    pair, single = make_solver("edict"), make_solver("residual_ddim")
    short, sparse = make_gradient("short_chain"), make_gradient("sparse")
    few, more, full = (Schedule.from_table(TABLE, *chosen) for chosen in ((4, 0.4), (10, 0.4), (10, 1.0)))
    flow = Schedule.from_table(flow_table(), 10, 1.0, flow=True)
    assert "short_chain is far from exact with edict and 10 steps" in str(short.warning(pair, more))
    assert "sparse is far from exact with edict" in str(sparse.warning(pair, full))
    assert sparse.warning(pair, flow) == sparse.warning(pair, full)
    assert (short.warning(pair, few), sparse.warning(pair, more)) == (None, None)
    assert all(strategy.warning(single, full) is None for strategy in (short, sparse))
    assert make_gradient("auto").warning(pair, full) is None
