"""Tests and intervals over photographs: SciPy's, where SciPy has them, and kept promises by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from comparetoys import synthetic
from dmap.compare import inference, people


def test_the_sign_flip_test_is_scipys() -> None:
    random = np.random.default_rng(0)
    for count in (2, 5, 9):
        values = random.standard_normal(count) + 0.4
        theirs = stats.permutation_test(
            (values,), np.mean, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
        )
        assert inference.sign_flip(values) == pytest.approx(theirs.pvalue)
    many = random.standard_normal(30) + 0.3
    close = stats.ttest_1samp(many, 0).pvalue
    assert inference.sign_flip(many, seed=3) == pytest.approx(close, abs=0.02)
    assert inference.sign_flip(many, seed=3) == inference.sign_flip(many, seed=3)
    assert inference.sign_flip(np.ones(6)) == inference.smallest_p(6) == 2 / 64
    assert inference.sign_flip(np.zeros(6)) == 1


def test_the_sign_flip_test_holds_its_level() -> None:
    random = np.random.default_rng(1)
    found = [inference.sign_flip(random.standard_t(3, 8)) for _ in range(800)]
    assert np.mean(np.array(found) <= 0.05) < 0.07


def test_holm_by_hand() -> None:
    assert inference.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert inference.holm([0.5, 0.6]) == [1.0, 1.0]
    assert inference.holm([]) == []


def test_how_many_photographs_a_finding_takes() -> None:
    for tests, needed in ((1, 6), (6, 8), (10, 9), (28, 11)):
        assert inference.photographs_needed(tests) == needed
        assert inference.smallest_p(needed) * tests <= 0.05 < inference.smallest_p(needed - 1) * tests


@pytest.mark.parametrize("count", [6, 12])
def test_intervals_hold_the_mean_as_often_as_they_say(count: int) -> None:
    """Also of few and skewed values, where the percentile bootstrap does not."""
    random = np.random.default_rng(count)
    held, naive = [], []
    for repeat in range(400):
        values = random.exponential(size=count) - 1 if repeat % 2 else random.standard_normal(count)
        found = inference.interval(values, seed=repeat, samples=600)
        assert found is not None
        held.append(found[0] <= 0 <= found[1])
        plain = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=300, rng=repeat)
        naive.append(plain.confidence_interval.low <= 0 <= plain.confidence_interval.high)
    assert np.mean(held) >= 0.92
    assert np.mean(naive) < np.mean(held) - 0.02
    assert inference.interval(np.arange(4.0)) is None


def test_effects_of_complete_rows_are_means_and_their_errors_are_classical() -> None:
    gains = np.random.default_rng(0).standard_normal((7, 3)) + np.arange(3)
    found = inference.effects(gains, list("abcdefg"))
    assert found.mean == pytest.approx(gains.mean(axis=0))
    assert found.error == pytest.approx(gains.std(axis=0, ddof=1) / 7**0.5)
    twice = inference.effects(np.vstack([gains, gains[:1]]), list("abcdefga"))
    assert twice.mean == pytest.approx(gains.mean(axis=0)), "a photograph counts once, however many rows it has"


def test_effects_of_rows_with_holes_are_least_squares() -> None:
    """Against a plain regression on dummies of rows and models."""
    random = np.random.default_rng(2)
    gains = random.standard_normal((9, 4)) + 5 * random.standard_normal((9, 1)) + np.arange(4)
    gains[[0, 1, 4, 8], [0, 0, 3, 2]] = np.nan
    found = inference.effects(gains, [str(row) for row in range(9)])
    rows, models = np.argwhere(np.isfinite(gains)).T
    columns = np.hstack([rows[:, None] == np.arange(9), models[:, None] == np.arange(4)]).astype(float)
    expected = np.linalg.lstsq(columns, gains[rows, models], rcond=None)[0][9:]
    assert np.diff(found.mean) == pytest.approx(np.diff(expected))
    level = np.nanmean(gains - found.mean, axis=1).mean()
    assert level == pytest.approx(0, abs=1e-9), "the level is the mean row's"
    assert np.isfinite(found.error).all()


def test_an_easy_start_is_no_merit() -> None:
    easy = np.where(np.arange(9)[:, None] < 2, 20.0, 0.0) + np.array([0.0, 1.0])
    holes = easy.copy()
    holes[:2, 0] = np.nan
    assert np.diff(inference.effects(holes, list("abcdefghi")).mean) == pytest.approx(1.0)
    assert np.nanmean(holes[:, 1]) - np.nanmean(holes[:, 0]) > 5, "plain means fall for it"


def test_a_model_without_any_row_has_no_effect() -> None:
    found = inference.effects(np.array([[1.0, np.nan], [2.0, np.nan]]), ["a", "b"])
    assert found.mean[0] == pytest.approx(1.5)
    assert np.isnan(found.mean[1])
    assert np.isnan(inference.effects(np.array([[1.0, 2.0]]), ["a"]).error).all()
    assert np.isnan(inference.effects(np.empty((0, 2)), []).mean).all()
    apart = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 8.0]])
    assert inference.effects(apart, ["a", "b", "c"]).mean == pytest.approx([2.0, 8.0])


def test_rank_correlation_is_scipys() -> None:
    random = np.random.default_rng(0)
    for _ in range(5):
        one, other = random.integers(0, 6, 20).astype(float), random.standard_normal(20)
        assert people.spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
        assert people.ranks(one) == pytest.approx(stats.rankdata(one))
    assert np.isnan(people.spearman(np.ones(3), np.arange(3.0)))


def test_the_model_that_votes_follow_agrees_with_people_whichever_side_comes_first() -> None:
    random = np.random.default_rng(1)
    start = random.normal(50, 5, (12, 2))
    found = synthetic(start[:, None] + random.normal(0, 5, (12, 3, 2)), start, ["a", "b", "c"], ["one", "two"])
    pairs = []
    for row in range(12):
        for a, b in (("a", "b"), ("c", "b")):
            change = found.scores[row, "abc".index(a), 1] - found.scores[row, "abc".index(b), 1]
            lean = round(float(np.clip(change, -5, 5)))
            where = {"photograph": f"photo {row}", "degradation": "none", "level": 0.05}
            pairs.append({**where, "a": a, "b": b, "votes_a": 5 + lean, "votes_b": 5 - lean})
    one, two = people.against_scores(found, pairs)
    assert two.correlation > 0.9 > abs(one.correlation) + 0.3
    assert two.low is not None
    assert two.high is not None
    assert two.low <= two.correlation <= two.high
    assert two.alike > 0.9
    names = {"a": "b", "b": "a", "votes_a": "votes_b", "votes_b": "votes_a"}
    turned = [{**pair, **{name: pair[other] for name, other in names.items()}} for pair in pairs]
    assert people.against_scores(found, turned)[1].correlation == pytest.approx(two.correlation)
