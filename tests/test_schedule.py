"""Noise schedules."""

import pytest
import torch

from dmap.method.schedule import SPACINGS, Schedule, scaled_linear_betas, sigmas_from_betas
from toys import TABLE


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
