"""A mixture out of a comparison: weights that keep the floors, and an honest verdict on held-out photographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from comparetoys import with_a_judge
from dmap.compare import mixture, results, specs, statistics
from dmap.compare.folder import Folder
from dmap.priors import WeightStore, load_prior
from toys import photograph


def strangers(folder: Path) -> results.Results:
    """The toys' comparison, kin by name alone: red, grey and blue want much the same of a picture."""
    found = results.load(Folder(folder))
    return replace(found, cosines=np.full_like(found.cosines, np.nan))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comparison") / "toys"
    with_a_judge(path)
    return path


def test_the_weights_keep_the_floors_and_are_the_best_that_do(folder: Path) -> None:
    found = strangers(folder)
    proposal = mixture.propose(found, 0.3)
    weights = np.array([dict(proposal.parts).get(name, 0.0) for name in found.names])
    assert weights.sum() == pytest.approx(1)
    gains = statistics.cross_scores(found, found.select(), gain=True)[0]
    largest = np.maximum(gains.max(axis=0), 0)
    foreign = statistics.standing(found, found.select()).others[0]
    assert (weights @ gains >= proposal.floor * largest - 0.05).all()
    assert proposal.floor <= 0.3
    draws = np.random.default_rng(0).dirichlet(np.ones(3), 5000)
    allowed = draws[(draws @ gains >= proposal.floor * largest).all(axis=1)]
    assert len(allowed) == 0 or (allowed @ foreign).max() <= proposal.expected + 0.05
    with pytest.raises(ValueError, match="floor"):
        mixture.propose(found, 1.5)


def test_judges_that_no_model_pleases_do_not_stop_a_proposal(folder: Path) -> None:
    found = strangers(folder)
    usual = mixture.propose(found, 0.3)
    assert usual.displeased == []
    lowered = found.scores.copy()
    lowered[..., 3] = found.start[:, None, 3] - 5.0
    proposal = mixture.propose(replace(found, scores=lowered), 0.3)
    assert proposal.displeased == ["=judge"]
    assert proposal.gains["=judge"] == pytest.approx(-5)
    assert proposal.floor == pytest.approx(usual.floor, abs=1e-6)
    nobody = mixture.propose(replace(found, scores=found.start[:, None, :] - 1.0 - np.zeros_like(found.scores)), 0.3)
    assert nobody.displeased == found.judges
    assert nobody.expected == pytest.approx(-1)


def test_a_check_tells_yes_from_no(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = strangers(folder)
    same = mixture.check(found, "red", ["smooth"])
    assert same["verdict"].startswith("Nothing is shown"), "three photographs are too few"
    assert same["names"] == list(dict.fromkeys(one.input.photograph for one in found.conditions))
    # The judge that is neither the mixture nor one of its parts, and the one that only judges.
    assert same["judges"] == ["grey", "=judge"]
    blue = found.gains[found.select(), 1, 3]
    assert same["rows"][0]["judged"]["mean"][1] == pytest.approx(blue.mean())
    assert same["rows"][0]["gain"] == pytest.approx(np.mean(same["rows"][0]["judged"]["mean"]))
    monkeypatch.setattr(mixture, "ENOUGH", 3)
    monkeypatch.setattr(mixture, "LEVEL", 0.6)  # three photographs can show nothing at 5 %
    noisy = [one.input.degradation == "noise" for one in found.conditions]
    psnr = (found.measures["psnr"][:, 1] - found.start_measures["psnr"])[noisy].mean()
    assert same["rows"][0]["measures"]["psnr"] == pytest.approx(psnr)
    better = replace(found, scores=found.scores + np.array([0, 30.0, 0])[None, :, None])
    assert mixture.check(better, "red", ["smooth", "grey"])["verdict"].startswith("Yes")
    worse = replace(found, scores=found.scores - np.array([0, 30.0, 0])[None, :, None])
    verdict = mixture.check(worse, "red", ["smooth", "grey"])["verdict"]
    assert verdict.startswith("No")
    assert "worse than smooth, grey" in verdict
    last = np.array([one.input.photograph == found.conditions[-1].input.photograph for one in found.conditions])
    change = np.where(last, -40.0, 30.0)[:, None, None] * np.array([0, 1.0, 0])[None, :, None]
    unsure = mixture.check(replace(found, scores=found.scores + change), "red", ["smooth", "grey"])
    assert all(row["difference"] > 0 and row["adjusted"] > 0.6 for row in unsure["rows"][1:])
    assert unsure["verdict"].startswith("No")
    assert "nothing is shown either way" in unsure["verdict"]
    shared = [{"smooth"}, {"smooth", "grey"}, {"grey"}]
    alone = replace(
        found,
        judges=found.judges[:3],
        parts=shared,
        scores=found.scores[..., :3],
        start=found.start[:, :3],
        cosines=found.cosines[:3, :3],
    )
    assert "outside of the mixture" in mixture.check(alone, "red", ["smooth", "grey"])["judging"]


def test_a_mixture_may_hold_a_prior_that_is_one_itself(folder: Path) -> None:
    """dmap_guide is made of three networks and has a name of its own: prior files can name it, and so can a mixture."""
    found = strangers(folder)
    names = ["dmap_guide", "dmap_nss", "robust(dmap_nss)"]
    parts = [{"dmap_guide", "dmap_quality"}, {"dmap_nss"}, {"dmap_nss"}, {"judge"}]
    scores = found.start[:, None, :] + np.array([[9.0, 0, 0, 4.0], [0, 9.0, 9.0, 4.1], [0, 9.0, 9.0, 9.0]])
    named = replace(found, names=names, judges=[*names, "judge"], parts=parts, scores=scores, cosines=np.eye(4) * 0)
    proposal = mixture.propose(named, 0.3)
    assert {name for name, _ in proposal.parts} == {"dmap_guide", "dmap_nss"}
    assert list(proposal.left_out) == ["robust(dmap_nss)"]
    assert "composition" in proposal.left_out["robust(dmap_nss)"]


def test_the_mixture_that_is_checked_is_the_one_that_is_written(tmp_path: Path) -> None:
    parted = [("dmap_nss", 0.6543), ("dmap_spectrum", 0.3457)]
    proposal = mixture.Proposal(parted, 0.25, 1.0, {}, [])
    mixture.write_prior(proposal, "mine", tmp_path / "mine.json")
    image = photograph(1, 96).float()
    with torch.no_grad():
        written = load_prior("file:mine.json", WeightStore((tmp_path,)))(image)
        checked = specs.build(mixture.spec(proposal))(image)
    assert torch.equal(written, checked)
