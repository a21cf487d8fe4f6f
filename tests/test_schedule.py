"""Noise schedules."""

import pytest
import torch

from dmap.method.schedule import SPACINGS, Schedule, flow_levels, flow_table, scaled_linear_betas, sigmas_from_betas
from dmap.method.solvers import ResidualDDIM
from toys import TABLE, latents, network_denoiser


def test_table_is_stable_diffusions() -> None:
    assert TABLE.shape == (1000,)
    assert float(TABLE[0]) == pytest.approx(0.0292, abs=1e-4)  # sigma_min and sigma_max as k-diffusion prints them
    assert float(TABLE[-1]) == pytest.approx(14.6146, abs=1e-4)


def test_sigmas_from_betas_closed_form() -> None:
    betas = torch.full((3,), 0.5, dtype=torch.float64)
    assert sigmas_from_betas(betas).tolist() == pytest.approx([1.0, 3.0**0.5, 7.0**0.5])


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("steps", "strength"), [(1, 1.0), (5, 0.4), (50, 1.0), (10, 0.02)])
def test_levels_are_exact_table_entries(spacing: str, steps: int, strength: float) -> None:
    schedule = Schedule.from_table(TABLE, steps, strength, spacing)
    assert schedule.steps == steps
    assert schedule.sigmas[0] == TABLE[round(strength * 1000) - 1]
    assert schedule.sigmas[-1] == 0
    assert all((sigma == TABLE).any() for sigma in schedule.sigmas[:-1])


def test_uniform_spacing_is_uniform_in_the_timestep() -> None:
    schedule = Schedule.from_table(TABLE, 5, 0.4)
    assert torch.equal(schedule.sigmas[:-1], TABLE[[399, 319, 239, 159, 79]])


@pytest.mark.parametrize("all_steps", [True, False])
def test_every_level_can_be_used(all_steps: bool) -> None:
    table = sigmas_from_betas(scaled_linear_betas(20))
    schedule = Schedule.from_table(table, 20 if all_steps else 7, 1.0)
    assert (schedule.sigmas.diff() < 0).all()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 5, "strength": 0.0}, "strength"),
        ({"steps": 5, "strength": 1.5}, "strength"),
        ({"steps": 5, "strength": float("nan")}, "strength"),
        ({"steps": 20, "strength": 0.01}, "steps"),
        ({"steps": 5, "spacing": "cubic"}, "spacing"),
    ],
)
def test_bad_values_are_named(arguments: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Schedule.from_table(TABLE, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("sigmas", [[1.0], [1.0, 2.0, 0.0], [1.0, 1.0, 0.0], [float("inf"), 1.0, 0.0], [2.0, 1.0], []])
def test_bad_lists_are_refused(sigmas: list[float]) -> None:
    with pytest.raises(ValueError, match="schedule"):
        Schedule(torch.tensor(sigmas))


@pytest.mark.parametrize("strength", [0.05, 0.2, 0.5, 1.0])
def test_a_strength_is_the_same_amount_of_noise_for_flows(strength: float) -> None:
    """By the ratio of noise to signal, sigma and s / (1 - s), at every step."""
    diffusion = Schedule.from_table(TABLE, 4, strength)
    flow = Schedule.from_table(flow_table(), 4, strength, flow=True)
    assert flow.flow
    assert torch.allclose(flow.sigmas / (1 - flow.sigmas), diffusion.sigmas, rtol=1e-12)


def test_flow_levels_closed_form() -> None:
    assert flow_levels(torch.tensor([1.0, 3.0])).tolist() == [0.5, 0.75]


def test_times_of_a_flow_end_at_one() -> None:
    assert Schedule(torch.tensor([1.0, 0.5, 0.0]), flow=True).steps == 2
    with pytest.raises(ValueError, match="flow"):
        Schedule(torch.tensor([1.2, 0.5, 0.0]), flow=True)


def test_a_flow_of_the_same_denoiser_walks_the_same_path() -> None:
    """In u / (1 - s) the steps of a flow are those of diffusion, level by level, for any network."""
    network, latent = network_denoiser(), latents()

    def of_flow(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return network(x / (1 - s), s / (1 - s))

    solver = ResidualDDIM(fixed_point=150)
    diffusion, flow = (
        solver.invert(one, Schedule.from_table(table, 5, 0.4, flow=is_flow), latent).state[0]
        for one, table, is_flow in ((network, TABLE, False), (of_flow, flow_table(), True))
    )
    assert float((flow * (1 + TABLE[399]) - diffusion).norm() / diffusion.norm()) < 1e-12
