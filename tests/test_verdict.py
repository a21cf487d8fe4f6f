"""What a comparison concludes: common judges, tests over photographs, and nothing where nothing is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comparetoys import LevelPrior, PixelEngine, models, photographs, plan, synthetic, without
from dmap.compare import kinship, results, statistics, verdict
from dmap.compare.folder import Folder
from dmap.compare.results import Results
from dmap.compare.run import Comparison
from dmap.fingerprint import digest
from dmap.priors.compose import RobustPrior

JUDGES = ("one", "two")


def world(seed: int, effect: np.ndarray, photos: int = 12, noise: float = 4.0, judges: int = 2) -> Results:
    """Models that judge themselves as delusions go, +30, and independent judges that see ``effect`` and noise."""
    random = np.random.default_rng(seed)
    count = len(effect)
    names = [f"m{number}" for number in range(count)]
    start = 50 + 10 * random.standard_normal((photos, count + judges))
    easy = 3 * random.standard_normal((photos, 1, 1))
    gains = easy + effect[None, :, None] + noise * random.standard_normal((photos, count, count + judges))
    gains[:, np.arange(count), np.arange(count)] += 30
    return synthetic(start[:, None] + gains, start, names, [*names, *JUDGES[:judges]])


def headline(found: Results) -> str:
    return verdict.verdict(found, found.select())[0]


def test_a_null_comparison_shows_no_difference() -> None:
    """Four copies of one model: at most one comparison in ten may say anything else."""
    said = [headline(world(seed, np.zeros(4))).startswith(verdict.NOTHING) for seed in range(120)]
    assert np.mean(said) >= 0.9
    unjudged = [headline(world(seed, np.zeros(4), judges=0)).startswith(verdict.NOTHING) for seed in range(50)]
    assert np.mean(unjudged) >= 0.9


def test_four_copies_of_one_prior_climbed_for_real(tmp_path: Path) -> None:
    """Robust copies that differ in the seed of their noise alone, in groups of eight photographs; real ascents."""
    toys = models()
    copies = {f"copy {seed}": RobustPrior(toys["smooth"], 1, 0, 0.05, seed) for seed in range(4)}
    judges = {name: toys[name] for name in ("red", "grey")} | {"blue": LevelPrior("blue", 2, 0.6)}
    planned = plan(
        priors=tuple(copies), judges=tuple(judges), degradations=("noise",), levels=(1e-4,), iterations=3, tolerance=0.3
    )
    Comparison(planned, Folder(tmp_path), photographs(24), [], {**copies, **judges}, PixelEngine()).run()
    whole = replace(results.load(Folder(tmp_path)), cosines=np.full((7, 7), np.nan))
    assert whole.counted.mean() > 0.9
    assert np.abs(whole.scores[:, 0] - whole.scores[:, 1]).max() > 1e-3, "the copies do the same"
    said = []
    for first in range(0, 24, 8):
        part = whole.select()[first : first + 8]
        said.append(verdict.verdict(whole, part)[0].startswith(verdict.NOTHING))
    assert sum(said) >= 2


def test_a_real_difference_is_shown_and_a_lead_is_one_over_all() -> None:
    assert headline(world(1, np.array([0.0, 12.0, 0.0]))).startswith("m1 leads")
    both = headline(world(2, np.array([12.0, 12.0, 0.0])))
    assert both.startswith("No model is shown to lead")
    assert "m0 above m2" in both
    assert "m1 above m2" in both
    sentences = verdict.verdict(found := world(3, np.array([12.0, -12.0, 0.0])), found.select())
    assert "better than the start: m0; worse than it: m1" in sentences[2]
    assert "the 2 judges that are kin of no model compared (one, two)" in sentences[1]


def test_too_few_photographs_are_said() -> None:
    said = headline(world(1, np.array([0.0, 40.0, 80.0, 120.0]), photos=6))
    assert said.startswith(verdict.NOTHING)
    assert "with 6 photographs none could be" in said
    assert "at least 8" in said
    single = headline(world(1, np.array([0.0, 40.0]), photos=1))
    assert "takes several photographs" in single


def test_every_row_averages_the_same_judges() -> None:
    """A judge that is generous to all but kin of one model must not carry the others."""
    found = world(4, np.zeros(3), noise=0.0)
    scores = found.scores.copy()
    scores[:, :, 0] += 25  # the first model's own judgement likes everybody's outputs
    generous = replace(found, scores=scores)
    assert [generous.judges[index] for index in generous.common] == list(JUDGES)
    gains = statistics.over_judges(generous, generous.select()).mean
    assert gains - gains.mean() == pytest.approx(np.zeros(3), abs=1e-9)
    mixed = [np.delete(generous.gains[:, model], model, axis=1).mean() for model in range(3)]
    assert max(mixed) - min(mixed) > 5, "the old average of whoever is left would have told them apart"


def test_judge_effects_where_there_is_no_common_judge() -> None:
    """Three models that judge one another, one of them generous: the model of judge effects finds the truth."""
    truth = np.array([3.0, 0.0, -1.0])
    start = np.tile(50 + 10 * np.random.default_rng(0).standard_normal((8, 1)), (1, 3))
    gains = truth[None, :, None] + np.array([25.0, 0.0, 0.0])[None, None, :] + np.zeros((8, 3, 3))
    found = synthetic(start[:, None] + gains, start, ["a", "b", "c"], ["a", "b", "c"])
    assert statistics.judging(found).kind == "effects"
    effects = statistics.over_judges(found, found.select()).mean
    assert np.diff(effects) == pytest.approx(np.diff(truth), abs=1e-6)
    assert "model of judge effects" in verdict.verdict(found, found.select())[1]
    alone = replace(found, parts=[{"a"}, {"a"}, {"a", "b"}])
    assert statistics.judging(alone).kind == "nobody"
    assert "add independent judges" in headline(alone)


def test_the_hand_set_range_of_a_judge_changes_no_order() -> None:
    """In its own standard deviations a judge counts the same however long its scale is."""
    found = world(5, np.array([2.0, 0.0, 1.0]), noise=1.0)
    stretched = replace(found, scores=found.scores * [1, 1, 1, 1, 9], start=found.start * [1, 1, 1, 1, 9])
    stretched = replace(stretched, photograph=stretched.start)
    usual, other = (statistics.over_judges(one, one.select(), deviations=True).mean for one in (found, stretched))
    assert other == pytest.approx(usual)
    points = [statistics.over_judges(one, one.select()).mean for one in (found, stretched)]
    assert not np.allclose(*points)


def test_one_miss_costs_the_others_nothing() -> None:
    found = world(6, np.array([5.0, 0.0, -5.0]))
    missed = without(found, 3, 1)
    assert len(missed.select()) == len(found.select())
    chosen = missed.select()
    pairs = {(one.first, one.second): one for one in statistics.contrasts(missed, chosen)}
    assert pairs[0, 2].photographs == 12
    assert pairs[0, 1].photographs == 11
    whole = {(one.first, one.second): one for one in statistics.contrasts(found, found.select())}
    assert pairs[0, 2].deviations == pytest.approx(whole[0, 2].deviations)
    assert np.isnan(missed.gains[3, 1]).all()
    standing = statistics.standing(missed, chosen)
    assert standing.starts.tolist() == [12, 11, 12]
    assert np.isfinite(standing.others[0]).all()


def test_contrasts_by_hand() -> None:
    found = world(7, np.array([4.0, 0.0]), photos=9)
    (pair,) = statistics.contrasts(found, found.select())
    by = (found.scores[:, 0, 2:] - found.scores[:, 1, 2:]) / found.deviation[2:]
    assert pair.deviations == pytest.approx(by.mean())
    assert pair.points == pytest.approx((found.scores[:, 0, 2:] - found.scores[:, 1, 2:]).mean())
    assert pair.favour == int((by.mean(axis=0) > 0).sum())
    assert pair.low is not None
    assert pair.high is not None
    assert pair.low < pair.deviations < pair.high
    known = np.concatenate([found.start, found.photograph])[:, 2:]
    assert found.deviation[2:] == pytest.approx(known.std(axis=0, ddof=1))


def test_pairs_where_models_part_are_judged_by_strangers() -> None:
    """The loudest disagreement is between the models themselves, and says nothing."""
    found = world(8, np.zeros(3), noise=3.0)
    pairs = statistics.disagreements(found, found.select())
    assert pairs
    for pair in pairs:
        assert {pair.judge_first, pair.judge_second}.isdisjoint({pair.first, pair.second})
        change = found.gains[pair.condition, pair.first] - found.gains[pair.condition, pair.second]
        assert change[pair.judge_first] / found.deviation[pair.judge_first] >= pair.deviations
        assert -change[pair.judge_second] / found.deviation[pair.judge_second] >= pair.deviations


def test_kin_by_backbone_weights_and_gradients() -> None:
    start = np.random.default_rng(0).normal(50, 5, (4, 6))
    names = ["pyiqa:clipiqa", "pyiqa:qualiclip+", "pyiqa:liqe", "pyiqa:liqe_mix", "dmap_nss", "pyiqa:niqe"]
    found = synthetic(np.tile(start[:, None], (1, 6, 1)), start, names, names)
    kin = {tuple(sorted((names[one], names[two]))) for one, two in np.argwhere(found.kin) if one != two}
    assert kin == {
        ("pyiqa:clipiqa", "pyiqa:qualiclip+"), ("pyiqa:liqe", "pyiqa:liqe_mix"), ("dmap_nss", "pyiqa:niqe"),
    }  # fmt: skip
    cosines = np.zeros((6, 6))
    cosines[0, 4] = cosines[4, 0] = 2 * kinship.CLOSE
    measured = replace(found, cosines=cosines)
    assert measured.kin[0, 4]
    assert not found.kin[0, 4]
    assert found.prints["dmap_nss"] == "print of dmap_nss"
    assert found.method == digest([found.plan.method(), "none"])
