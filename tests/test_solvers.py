"""Properties that every registered solver must have, and closed forms."""

import pytest
import torch

from dmap.method.chain import Chain, checkpoint_calls, keep_activations
from dmap.method.denoiser import derivative, gaussian_denoiser
from dmap.method.path import LatentPath
from dmap.method.schedule import Schedule
from dmap.method.solvers import SOLVERS, make_solver, round_trip_error
from toys import TABLE, latents, network_denoiser

SCHEDULES = {
    "partial": Schedule.from_table(TABLE, 5, 0.4),
    "full": Schedule.from_table(TABLE, 10, 1.0),
    "flow": Schedule(torch.linspace(1, 0, 11, dtype=torch.float64)),
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


def test_edict_follows_the_published_order() -> None:
    """Two steps written out as in Wallace et al., eq. 14-15: the pair swaps roles in every step, then mixes."""
    denoise, schedule, p = network_denoiser(), Schedule.from_table(TABLE, 2, 0.4), 0.93
    path = make_solver("edict").invert(denoise, schedule, latents())
    u, v = path.state
    s0, s1, s2 = schedule.sigmas
    u = u + (s1 - s0) * derivative(denoise, v, s0)
    v = v + (s1 - s0) * derivative(denoise, u, s0)
    u = p * u + (1 - p) * v
    v = (1 - p) * u + p * v
    v = v + (s2 - s1) * derivative(denoise, u, s1)
    u = u + (s2 - s1) * derivative(denoise, v, s1)
    u = p * u + (1 - p) * v
    v = (1 - p) * u + p * v
    assert torch.allclose(u, path.latent, atol=1e-12)
    assert torch.allclose(v, path.latent, atol=1e-12)


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
