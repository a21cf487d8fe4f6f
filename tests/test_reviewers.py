"""What a reviewer asks of a comparison: failures, gMAD, Pareto curves, old scores, other seeds; on made-up results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from comparetoys import plan, synthetic, without
from dmap.compare import failures, gmad, pareto, srcc, stability
from dmap.compare.results import Results
from dmap.errors import UserError

NAMES, JUDGES = ["a", "b"], ["a", "b", "c", "d"]


def results_of(gains: Any, levels: tuple[float, ...] = (0.05,), start: float = 50.0) -> Results:
    """Two models and two pure judges; gains (starts, models, judges) over starts that spread by 10 points."""
    gains = np.asarray(gains, dtype=float)
    starts = start + np.where(np.arange(len(gains))[:, None] % 2, 10.0, -10.0) * np.ones((1, len(JUDGES)))
    made = synthetic(starts[:, None] + gains, starts, NAMES, JUDGES)
    return replace(made, plan=plan(priors=tuple(NAMES), judges=("c", "d"), levels=levels))


def test_failures_please_their_model_and_nobody_else() -> None:
    gains = np.zeros((4, 2, 4))
    gains[0, 0] = [20, 0, -5, -15]  # pleased itself, the common judges fell
    gains[1, 0] = [20, 0, 5, 5]  # a success
    gains[2, 1] = [0, -3, -9, -9]  # its own score fell: no delusion
    gains[3, 1] = [0, 4, -1, -1]
    found = failures.failures(results_of(gains))
    assert [(one.condition, one.model) for one in found] == [(0, 0), (3, 1)]
    assert found[0].own == 20
    sd = results_of(gains).deviation[2]
    assert found[0].judged == pytest.approx(-10 / sd)
    assert found[0].judges == 2
    missed = failures.failures(without(results_of(gains), 0, 0))
    assert [(one.condition, one.model) for one in missed] == [(3, 1)], "an output that does not count was shown"


def test_gmad_finds_who_is_right() -> None:
    """c calls a's output and the start alike, d parts them; b, the third, sees the difference, or the opposite."""
    for seen, sign in ((8.0, 1), (-8.0, -1)):
        gains = np.zeros((4, 2, 4))
        gains[:, 0, 3] = 30.0
        gains[:, 0, 1] = seen
        gains[:, 1, 3] = 10.0
        found = gmad.compete(results_of(gains))
        (attack,) = (one for one in found.attacks if (one.attacker, one.defender) == (3, 2))
        assert (attack.better, attack.worse) == (0, -1)
        assert attack.alike == 0
        assert attack.parted == pytest.approx(30 / results_of(gains).deviation[3])
        assert attack.confirmed is not None
        assert np.sign(attack.confirmed) == sign
        assert np.sign(found.aggressiveness[3]) == sign
        assert np.sign(found.resistance[2]) == -sign
    for one in found.attacks:
        involved = {one.attacker, one.defender}
        assert not involved & {one.better, one.worse}, "a model attacks with, or defends, its own outputs"


def test_gmad_needs_a_defender_that_calls_them_alike() -> None:
    gains = np.zeros((4, 2, 4))
    gains[:, 0, 2:] = 30.0  # c and d agree
    assert not [one for one in gmad.compete(results_of(gains)).attacks if {one.attacker, one.defender} == {2, 3}]


def at_levels(results: Results, levels: tuple[float, ...], distances: np.ndarray) -> Results:
    """The conditions in turn at these levels, outputs at these distances (conditions, models)."""
    conditions = []
    for row, one in enumerate(results.conditions):
        cells = [
            replace(cell, distance=float(distances[row, column]))
            for column, cell in enumerate(one.cells)
            if cell is not None
        ]
        photograph = replace(one.input, photograph=f"photo {row // len(levels)}")
        conditions.append(replace(one, level=levels[row % len(levels)], cells=tuple(cells), input=photograph))
    return replace(results, conditions=conditions)


def test_pareto_curves_and_what_is_not_beaten() -> None:
    levels = (0.05, 0.1)
    gains = np.zeros((6, 2, 4))
    gains[0::2, :, 2:] = np.array([2.0, 4.0])[None, :, None]
    gains[1::2, :, 2:] = np.array([6.0, 3.0])[None, :, None]
    gains[0, 0, 2:] = 5.0
    distances = np.tile([[0.15, 0.15], [0.2, 0.2]], (3, 1))
    made = at_levels(results_of(gains, levels), levels, distances)
    found = pareto.curves(made)
    sd = made.deviation[2]
    assert found.levels == list(levels)
    assert found.distance == pytest.approx(np.array([[0.15, 0.2], [0.15, 0.2]]))
    assert found.gain * sd == pytest.approx(np.array([[3.0, 6.0], [4.0, 3.0]]))
    assert found.error[0, 0] * sd == pytest.approx(np.std([5, 2, 2], ddof=1) / 3**0.5)
    assert found.undominated.tolist() == [[False, True], [True, False]]


def csv_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def many(gains: list[float], photographs: int = 6, noise: float = 0.0) -> Results:
    """Models with these gains by one common judge."""
    random = np.random.default_rng(0)
    names = [f"m{number}" for number in range(len(gains))]
    scores = np.zeros((photographs, len(gains), len(gains) + 1))
    scores[:, :, -1] = np.array(gains) + noise * random.standard_normal((photographs, len(gains)))
    starts = np.where(np.arange(photographs)[:, None] % 2, 10.0, -10.0) * np.ones((1, len(gains) + 1)) + 50
    return synthetic(scores + starts[:, None], starts, names, [*names, "judge"])


def test_old_scores_against_the_outcome(tmp_path: Path) -> None:
    text = "model,KonIQ,SPAQ\nm0,0.5,\nm1,0.6,0.9\nm2,0.7,0.8\nm3,0.8,0.7\nm4,0.9,0.6\nother,0.99,0.99\n"
    table = srcc.read(csv_file(tmp_path / "a.csv", text), [f"m{number}" for number in range(5)])
    assert table == {
        "KonIQ": {"m0": 0.5, "m1": 0.6, "m2": 0.7, "m3": 0.8, "m4": 0.9},
        "SPAQ": {"m1": 0.9, "m2": 0.8, "m3": 0.7, "m4": 0.6},
    }
    found = srcc.against(many([1, 2, 3, 4, 5]), table)
    assert [(one.dataset, one.outcome, one.models) for one in found] == [("KonIQ", "gain", 5), ("SPAQ", "gain", 4)]
    assert [one.correlation for one in found] == pytest.approx([1, -1])
    assert found[0].p == pytest.approx(2 / 120), "two of the 120 orders correlate as well"
    assert (found[0].low, found[0].high) == pytest.approx((1, 1))
    mixed = srcc.against(many([3, 1, 2, 5, 4], noise=2.0), table)[0]
    mean = many([3, 1, 2, 5, 4], noise=2.0).gains[..., -1].mean(axis=0)
    assert mixed.correlation == pytest.approx(spearmanr([0.5, 0.6, 0.7, 0.8, 0.9], mean).statistic)
    assert mixed.low is not None
    assert mixed.high is not None
    assert mixed.low < mixed.correlation < mixed.high or mixed.high == 1
    few = srcc.against(many([1, 2, 3, 4, 5], photographs=3), table)[0]
    assert few.low is None


def test_old_scores_against_votes(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(4)]
    pairs = [
        {"photograph": f"p{photo}", "a": names[one], "b": names[two], "votes_a": 1.0, "votes_b": 9.0}
        for photo in range(6)
        for one in range(4)
        for two in range(one + 1, 4)
    ]
    table = {"KonIQ": {name: 0.5 + 0.1 * number for number, name in enumerate(names)}}
    gain, votes = srcc.against(many([4, 3, 2, 1]), table, {"pairs": pairs})
    assert (gain.outcome, votes.outcome) == ("gain", "votes")
    assert (gain.correlation, votes.correlation) == pytest.approx((-1, 1))
    assert votes.low == pytest.approx(1)


def test_p_values_under_chance() -> None:
    """At 5 % at most 5 % of independent orders are called related, also where orders are drawn."""
    random = np.random.default_rng(1)
    for count in (6, 9):
        values = [srcc.permutation_p(*random.standard_normal((2, count)), seed=number) for number in range(60)]
        assert np.mean(np.array(values) <= 0.05) < 0.15
        assert 0.35 < np.mean(values) < 0.65


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,KonIQ\nm0,0.5\n", "begins with"),
        ("model\nm0\n", "begins with"),
        ("", "no table"),
        ("model,KonIQ\nm0,0.5\nm1,much\nm2,0.5\nm3,0.5\n", "m1, KonIQ: got 'much'"),
        ("model,KonIQ\nm0,0.5\nm1,1.5\nm2,0.5\nm3,0.5\n", "m1, KonIQ: got '1.5'"),
        ("model,KonIQ\nm0,0.5\nm0,0.5\nm2,0.5\nm3,0.5\n", "twice"),
        ("model,KonIQ\nm0,0.5\nx,0.5\n", "at least 4"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words.replace("(", "\\(")):
        srcc.read(csv_file(tmp_path / "bad.csv", text), [f"m{number}" for number in range(4)])


def seeded(gains: Any, seed: int, iterations: int = 8, judge: str = "judge") -> Results:
    made = many(list(gains), photographs=8)
    priors = tuple(made.names)
    index = {**made.index, "photographs": [{"name": f"photo {row}"} for row in range(8)]}
    return replace(made, plan=plan(priors=priors, judges=(judge,), seed=seed, iterations=iterations), index=index)


def test_what_holds_with_other_seeds_and_budgets() -> None:
    """m2 is above m0 in every run; m1 changes sides with the seed, so nothing is shown of it."""
    named = [
        ("one", seeded([1, 2, 9], 0)), ("two", seeded([1.5, 0.5, 8], 1)), ("more", seeded([2, 3, 12], 0, 16)),
    ]  # fmt: skip
    runs = stability.read(named[::-1])
    assert [run.name for run in runs] == ["one", "two", "more"]
    assert (2, 0) in runs[0].shown
    said = stability.sentences(runs, ["m0", "m1", "m2"])
    assert said[0] == "Differences shown in all of 3 runs: m2 above m0; m2 above m1."
    assert said[2] == "Shown either way round in different runs, so not at all: m0 above m1."
    assert "0.67 on average, 0.50 at the least" in said[3], said[3]
    budgets, mean, spread, _ = stability.over_seeds(runs)
    sd = named[0][1].deviation[-1]
    assert budgets == [8, 16]
    assert mean[:, 0] * sd == pytest.approx([1.25, 1.25, 8.5])
    assert spread[:, 0] * sd == pytest.approx(np.std([[1, 2, 9], [1.5, 0.5, 8]], axis=0, ddof=1))
    assert np.isnan(spread[:, 1]).all(), "one seed has no spread"
    assert [row["place"] for row in stability.rows(runs, ["m0", "m1", "m2"])] == [3, 2, 1, 2, 3, 1, 3, 2, 1]


def test_runs_that_differ_in_more_are_refused() -> None:
    one = seeded([1, 2, 9], 0)
    for other, words in (
        (seeded([1, 2, 9], 0), "same seed"),
        (seeded([1, 2, 9], 1, judge="else"), "differ in judges"),
        (replace(seeded([1, 2, 9], 1), index={**one.index, "engine": "x"}), "differ in the diffusion model"),
    ):
        with pytest.raises(UserError, match=words):
            stability.read([("one", one), ("other", other)])
    with pytest.raises(UserError, match="two or more"):
        stability.read([("one", one)])
