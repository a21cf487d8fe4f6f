"""Properties that every registered solver must have, and closed forms."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dmap.method.chain import Chain, checkpoint_calls, keep_activations
from dmap.method.denoiser import from_network, gaussian_denoiser
from dmap.method.path import LatentPath
from dmap.method.schedule import Schedule, flow_table, scaled_linear_betas
from dmap.method.solvers import SOLVERS, make_solver, round_trip_error
from toys import TABLE, TinyNetwork, latents, network_denoiser

SCHEDULES = {
    "partial": Schedule.from_table(TABLE, 5, 0.4),
    "full": Schedule.from_table(TABLE, 10, 1.0),
    "flow": Schedule.from_table(flow_table(), 10, 1.0, flow=True),
}
each_solver = pytest.mark.parametrize("name", list(SOLVERS))


def invert(
    name: str, prediction: str = "eps", schedule: str = "partial", dtype: torch.dtype = torch.float64
) -> LatentPath:
    return make_solver(name).invert(network_denoiser(prediction, dtype), SCHEDULES[schedule], latents(dtype=dtype))


@each_solver
@pytest.mark.parametrize(
    ("prediction", "schedule"),
    [("eps", "partial"), ("eps", "full"), ("v", "partial"), ("v", "full"), ("flow", "flow")],
)
def test_round_trip_is_exact(name: str, prediction: str, schedule: str) -> None:
    path = invert(name, prediction, schedule)
    error = round_trip_error(make_solver(name), network_denoiser(prediction), path)
    assert error.shape == (2,)
    assert float(error.max()) < 1e-12


@each_solver
@pytest.mark.parametrize(("network", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-5)])
def test_round_trip_with_a_network_of_low_precision(name: str, network: torch.dtype, bound: float) -> None:
    """Solver in float32, network in its own dtype: METHOD's figure is 3e-6 at 20 steps for EDICT."""
    denoise = network_denoiser("eps", network)
    path = make_solver(name).invert(denoise, SCHEDULES["partial"], latents(dtype=torch.float32))
    limit = bound if network is torch.float32 or name == "residual_ddim" else 2e-2
    assert float(round_trip_error(make_solver(name), denoise, path).max()) < limit


@each_solver
def test_shapes_scale_and_single_images(name: str) -> None:
    solver, path = make_solver(name), invert(name)
    assert path.state.shape == (solver.states, 2, 4, 8, 8)
    assert torch.allclose(path.scale, path.state.std(dim=(0, 2, 3, 4), correction=0))
    single = solver.invert(network_denoiser(), SCHEDULES["partial"], latents()[1:])
    assert torch.allclose(single.state[:, 0], path.state[:, 1], atol=1e-12)
    assert torch.equal(path.image(1).state, path.state[:, 1:])


@each_solver
def test_evaluations_are_counted_right(name: str) -> None:
    solver, count = make_solver(name), 0
    inner = network_denoiser()

    def denoise(u: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        return inner(u, sigma)

    path = solver.invert(denoise, SCHEDULES["partial"], latents())
    assert count == solver.inversion_evaluations(5)
    count = 0
    solver.sample(denoise, path)
    assert count == solver.evaluations * 5


@each_solver
def test_gradient_against_finite_differences(name: str) -> None:
    path = invert(name)
    weights = latents(seed=5)
    chain = Chain(path, network_denoiser(), lambda latent: torch.sin(latent))
    z = chain.start().requires_grad_(True)
    (gradient,) = torch.autograd.grad((chain(z) * weights).sum(), z)
    direction = torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(3))
    step = 1e-5
    with torch.no_grad():
        ahead, behind = ((chain(z + s * step * direction) * weights).sum() for s in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float((ahead - behind) / (2 * step)), rel=1e-7)


@each_solver
def test_checkpointed_gradient_equals_the_plain_one(name: str) -> None:
    path = invert(name)
    gradients = []
    for strategy in (keep_activations, checkpoint_calls):
        chain = Chain(path, network_denoiser(), lambda latent: latent, strategy)
        z = chain.start().requires_grad_(True)
        gradients.append(torch.autograd.grad(chain(z).square().sum(), z)[0])
    assert torch.allclose(*gradients, rtol=1e-12, atol=1e-12)


@each_solver
def test_start_of_the_chain_is_the_inverted_latent(name: str) -> None:
    path = invert(name)
    chain = Chain(path, network_denoiser(), lambda latent: latent)
    assert torch.allclose(chain.start().square().mean(dim=(0, 2, 3, 4)), torch.ones(2, dtype=torch.float64), atol=0.1)
    assert torch.allclose(chain(chain.start()), path.latent, atol=1e-12)


@pytest.mark.parametrize(("name", "steps", "bound"), [("residual_ddim", 400, 0.01), ("edict", 50, 0.05)])
def test_gaussian_closed_form(name: str, steps: int, bound: float) -> None:
    """Many steps tend to the ODE's closed form; EDICT's pair difference, p^-2 a step, forbids more than about 50."""
    variance = 2.0
    denoise = gaussian_denoiser(variance)
    schedule = Schedule.from_table(TABLE, steps, 0.8)
    path = make_solver(name).invert(denoise, schedule, latents())
    exact = path.latent * ((variance + schedule.sigmas[0] ** 2) / variance).sqrt()
    assert float((path.state.mean(0) - exact).norm() / exact.norm()) < bound


def test_ddim_step_closed_form() -> None:
    variance, schedule = 2.0, SCHEDULES["partial"]
    path = make_solver("residual_ddim").invert(gaussian_denoiser(variance), schedule, latents())
    assert path.residuals is not None
    state = latents(seed=9)[None]
    expected = state[0]
    for i in range(schedule.steps):
        here, there = schedule.sigmas[i], schedule.sigmas[i + 1]
        expected = expected * (1 + (there - here) * here / (variance + here**2)) + path.residuals[i]
    sampled = make_solver("residual_ddim").sample(gaussian_denoiser(variance), path, state)
    assert torch.allclose(sampled, expected, atol=1e-12)


def published_edict(network: Callable[..., Tensor], steps: int, latent: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """EDICT's inversion written out in the paper's own terms (Wallace et al., eq. 14-15), for eps-prediction.

    x is at the scale sqrt(abar) x0 + sqrt(1 - abar) eps, and the network gets it as it is, with the step's timestep:
    x_t = (x_{t-1} - b eps(y_{t-1}, t)) / a, first for y of the pair, then for x.
    """
    abar = torch.cumprod(1 - scaled_linear_betas(), dim=0)
    times = [1000 * (steps - i) // steps - 1 for i in range(steps)]
    x, y = latent, latent
    for i in reversed(range(steps)):
        now, then = abar[times[i]], abar[times[i + 1]] if i + 1 < steps else torch.ones((), dtype=torch.float64)
        a = (then / now).sqrt()
        b = (1 - then).sqrt() - (then * (1 - now) / now).sqrt()
        time = torch.full((len(latent),), float(times[i]))
        y = (y - (1 - p) * x) / p
        x = (x - (1 - p) * y) / p
        if i % 2 == 0:
            y = (y - b * network(x, time)) / a
            x = (x - b * network(y, time)) / a
        else:
            x = (x - b * network(y, time)) / a
            y = (y - b * network(x, time)) / a
    return x, y


@pytest.mark.parametrize("steps", [2, 5, 10, 20, 50])
def test_edict_is_the_published_algorithm(steps: int) -> None:
    network = TinyNetwork()
    path = make_solver("edict").invert(
        from_network(network, "eps", TABLE), Schedule.from_table(TABLE, steps, 1.0), latents()
    )
    scale = (1 + path.schedule.sigmas[0] ** 2).rsqrt()
    for state, expected in zip(path.state * scale, published_edict(network, steps, latents(), 0.93), strict=True):
        assert float((state - expected).norm() / expected.norm()) < 1e-12


def test_edict_of_a_flow_is_the_algorithm_without_scales() -> None:
    """x = (1 - s) x0 + s n keeps its scale: the pair moves along the velocity, and is mixed less with more steps."""
    schedule = Schedule.from_table(flow_table(), 8, 0.6, flow=True)
    network, p = TinyNetwork(), 0.93**0.5
    path = make_solver("edict").invert(from_network(network, "flow"), schedule, latents())
    u, v = path.state
    for i, (here, there) in enumerate(itertools.pairwise(schedule.sigmas)):
        time, h = torch.full((2,), 1000 * float(here)), there - here
        if i % 2 == 0:
            u = u + h * network(v, time)
            v = v + h * network(u, time)
        else:
            v = v + h * network(u, time)
            u = u + h * network(v, time)
        u = p * u + (1 - p) * v
        v = (1 - p) * u + p * v
    assert torch.allclose(u, path.latent, atol=1e-12)
    assert torch.allclose(v, path.latent, atol=1e-12)


def test_edict_paths_of_older_files_are_sampled_as_they_were_inverted() -> None:
    """They do not say that their second evaluations see the next level's scale."""
    path = make_solver("edict").invert(lambda u, sigma: u, SCHEDULES["partial"], latents())
    older = replace(path, settings={"mixing": 0.93})
    seen = []
    make_solver("edict").sample(lambda u, sigma: (seen.append(u), u)[1], older)
    assert torch.allclose(torch.stack(seen), path.latent.expand(10, -1, -1, -1, -1), atol=1e-12)


def test_edict_pair_difference_grows_as_stated() -> None:
    """Each inverse mixing multiplies u - v by p^-2: here the network's part is made zero."""
    solver = make_solver("edict")
    path = solver.invert(lambda u, sigma: u, SCHEDULES["full"], latents())
    assert torch.allclose(path.state[0], path.latent)  # nothing moves, so the pair stays tied
    u, v = path.latent, path.latent + 1e-3
    for _ in range(10):
        v = (v - 0.07 * u) / 0.93
        u = (u - 0.07 * v) / 0.93
    assert float((v - u).mean() / 1e-3) == pytest.approx(0.93**-20, rel=1e-6)


def test_in_place_networks_do_not_corrupt_the_gradient() -> None:
    """A network that writes its output over a shared buffer: the stock checkpoint is silently wrong there."""
    path, buffer = invert("residual_ddim"), torch.zeros(2, 4, 8, 8, dtype=torch.float64)
    clean = network_denoiser()

    def rude(u: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        buffer.copy_(u.detach() * 0.0)
        hidden = clean(u, sigma)
        scale = buffer.add(2.0)
        product = hidden * scale
        scale.mul_(3.0)
        return product / 2

    gradients = []
    for denoise, strategy in ((clean, keep_activations), (rude, checkpoint_calls)):
        chain = Chain(path, denoise, lambda latent: latent, strategy)
        z = chain.start().requires_grad_(True)
        gradients.append(torch.autograd.grad(chain(z).square().sum(), z)[0])
    assert torch.allclose(*gradients, atol=1e-12)


def test_unknown_solver_and_settings() -> None:
    with pytest.raises(ValueError, match="solver"):
        make_solver("euler")
    with pytest.raises(ValueError, match="mixing"):
        SOLVERS["edict"](mixing=0.4)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="fixed_point"):
        SOLVERS["residual_ddim"](fixed_point=0)  # type: ignore[call-arg]


@each_solver
def test_broken_inversion_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="inversion"):
        make_solver(name).invert(lambda u, sigma: u * float("nan"), SCHEDULES["partial"], latents())
