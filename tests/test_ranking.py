"""Votes to a ranking: a known order comes back, and bad votes are found and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import choix
import numpy as np
import pytest

from comparetoys import comparison
from dmap.cli import main
from dmap.compare import ranking, results, selection, simulation, study, votes
from dmap.compare.folder import Folder

MODELS = ("smooth", "red", "grey")
TRUTH = {"smooth": 0.0, "red": 1.2, "grey": -1.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comparison") / "toys"
    comparison(path, count=3).run()
    study.make(results.load(Folder(path)), Folder(path), path / "study", 18, 4, 3, "debiased", seed=1)
    return path


@pytest.fixture(scope="module")
def key(folder: Path) -> study.Study:
    return study.read_key(folder / "study" / study.KEY)


def ballot(key: study.Study, name: str, seed: int, careless: bool = False) -> dict[str, Any]:
    """What the page would save for an observer who follows ``TRUTH``, or presses anything."""
    random = np.random.default_rng(seed)
    rows = []
    for trial in key.trials:
        strength = [{**TRUTH, study.GOOD: 9.0, study.BAD: -9.0}[model] for model in (trial.model_a, trial.model_b)]
        chance = 0.5 if careless else 1 / (1 + np.exp(strength[1] - strength[0]))
        swapped, first = random.random() < 0.5, random.random() < chance
        left, right = (trial.b, trial.a) if swapped else (trial.a, trial.b)
        choice = "left" if (left == trial.a) == first else "right"
        rows.append({"trial": trial.id, "left": left, "right": right, "choice": choice, "ms": 2000})
    return seal({"format": "dmap-votes", "version": 1, "study": key.id, "observer": name, "votes": rows})


def seal(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "checksum": votes.checksum(votes.canonical(content))}


def save(folder: Path, contents: list[dict[str, Any]]) -> list[Path]:
    files = []
    for number, content in enumerate(contents):
        files.append(folder / f"votes{number}.json")
        files[-1].write_text(json.dumps(content), encoding="utf-8")
    return files


def test_a_known_ranking_comes_back(tmp_path: Path, key: study.Study) -> None:
    files = save(tmp_path, [ballot(key, f"o{number}", number) for number in range(20)])
    observers, problems = votes.read(files, key)
    assert len(observers) >= 18
    assert all("catch" in problem.text or "side" in problem.text for problem in problems)
    found = ranking.rank(observers, key.models, samples=200)
    assert found.models == ["red", "smooth", "grey"]
    assert found.connected
    for name, strength in zip(found.models, found.strengths, strict=True):
        assert strength == pytest.approx(TRUTH[name], abs=0.5)


def test_each_degradation_has_its_own_ranking(tmp_path: Path, key: study.Study) -> None:
    """Observers who turn their taste round on noise: so does that ranking, and only that one."""
    noisy = {trial.id for trial in key.trials if trial.kind != "catch" and trial.degradation == "noise"}
    ballots = [ballot(key, f"o{number}", number) for number in range(20)]
    for row in (row for content in ballots for row in content["votes"] if row["trial"] in noisy):
        row["choice"] = {"left": "right", "right": "left"}[row["choice"]]
    observers, _ = votes.read(save(tmp_path, [seal(content) for content in ballots]), key)
    found = ranking.by_degradation(observers, key.models, samples=20, seed=0)
    assert found["none"].models == ["red", "smooth", "grey"]
    assert found["noise"].models == ["grey", "smooth", "red"]


def test_intervals_shrink_with_observers_and_cover_the_truth(key: study.Study, tmp_path: Path) -> None:
    width, covered = {5: 0.0, 40: 0.0}, []
    for repeat in range(6):
        for count in width:
            ballots = [ballot(key, f"o{number}", 1000 * repeat + number) for number in range(count)]
            observers, _ = votes.read(save(tmp_path, ballots), key)
            found = ranking.rank(observers, key.models, samples=60)
            width[count] += float(np.mean(np.array(found.high) - np.array(found.low)))
            covered += [
                low <= TRUTH[name] <= high for name, low, high in zip(found.models, found.low, found.high, strict=True)
            ]
    assert width[40] < width[5] / 1.8
    assert np.mean(covered) > 0.75


def test_strengths_by_hand() -> None:
    """Two models, 3 votes to 1: log 3, drawn in a little by the weak prior."""
    strengths = ranking.bradley_terry(np.array([[0.0, 300.0], [100.0, 0.0]]))
    assert strengths[0] - strengths[1] == pytest.approx(np.log(3), rel=0.01)
    assert np.isfinite(ranking.bradley_terry(np.array([[0.0, 5.0], [0.0, 0.0]]))).all()
    assert not ranking.connected(np.diag([0.0, 0.0, 0.0]))
    split = np.zeros((4, 4))
    split[0, 1] = split[2, 3] = 5
    assert not ranking.connected(split)


def test_strengths_are_a_library_s() -> None:
    """choix fits the same posterior; models that met unevenly or never, and clean sweeps, included."""
    penalty = 1 / (2 * ranking.PRIOR_DEVIATION**2)  # choix adds it times the sum of squares
    random = np.random.default_rng(0)
    for models in (2, 3, 6):
        for _ in range(10):
            count = random.integers(0, 12, (models, models)) * (random.random((models, models)) < 0.7)
            np.fill_diagonal(count, 0)
            won = [(i, j) for i in range(models) for j in range(models) for _ in range(count[i, j])]
            theirs = choix.opt_pairwise(models, won, alpha=penalty, tol=1e-9)
            assert ranking.bradley_terry(count.astype(float)) == pytest.approx(theirs - theirs.mean(), abs=1e-3)


def test_agreement_as_published() -> None:
    """Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), example A: ten units, two observers, 0.095."""
    both = {"Meg": "0100000010", "Owen": "1110010000"}
    observers = []
    for name, values in both.items():
        answers = []
        for unit, value in enumerate(values):
            trial = study.Trial(f"t{unit}", "pair", "photo", "none", 1.0, f"a{unit}", f"b{unit}", "first", "second", 0)
            models = ("first", "second") if value == "1" else ("second", "first")
            answers.append(votes.Vote(trial, *models, 1000.0))
        observers.append(votes.Observer(name, tuple(answers), (0, 0), (0, 0), 0.5))
    assert ranking.agreement(observers) == pytest.approx(0.095, abs=5e-4)


def test_agreement(key: study.Study, tmp_path: Path) -> None:
    same = [ballot(key, f"o{number}", 7) for number in range(4)]
    observers, _ = votes.read(save(tmp_path, same), key)
    assert ranking.agreement(observers) == pytest.approx(1.0)
    assert ranking.agreement(observers[:1]) is None
    random = [seal({**ballot(key, f"c{number}", number, careless=True)}) for number in range(12)]
    for content in random:  # right on the catch trials, so that they are not thrown out
        for row, good in zip(content["votes"], ballot(key, "x", 7)["votes"], strict=True):
            if next(trial.kind for trial in key.trials if trial.id == row["trial"]) == "catch":
                row.update(good)
    observers, _ = votes.read(save(tmp_path, [seal(content) for content in random]), key)
    assert len(observers) == 12
    assert abs(ranking.agreement(observers) or 0.0) < 0.15


def edited(change: Callable[[dict[str, Any]], Any], reseal: bool = True) -> Callable[[study.Study], str]:
    def make(key: study.Study) -> str:
        content = ballot(key, "bad", 3)
        change(content)
        return json.dumps(seal(content) if reseal else content)

    return make


def spoil_catches(key: study.Study) -> dict[str, Any]:
    """Someone who prefers the spoiled image in the first two catch trials."""
    content = ballot(key, "careless", 8)
    catches = {trial.id: trial for trial in key.trials if trial.kind == "catch"}
    for row in [row for row in content["votes"] if row["trial"] in catches][:2]:
        row["choice"] = "left" if row["left"] == catches[row["trial"]].b else "right"
    return seal(content)


BAD: dict[str, tuple[Callable[[study.Study], str], str]] = {
    "empty file": (lambda _: "", "is empty"),
    "no JSON": (lambda _: "{{", "cannot be read"),
    "a list": (lambda _: "[]", "not a vote file"),
    "another version": (edited(lambda c: c.update(version=2)), "not a vote file"),
    "another study": (edited(lambda c: c.update(study="0" * 20)), "another study"),
    "tampered": (
        edited(lambda c: c["votes"][0].update(choice="left" if c["votes"][0]["choice"] == "right" else "right"), False),
        "checksum",
    ),
    "no votes": (edited(lambda c: c.update(votes=[])), "no vote"),
    "a vote without time": (lambda key: edited(lambda c: c["votes"][0].pop("ms"), False)(key), "lacks"),
    "an unknown trial": (edited(lambda c: c["votes"][0].update(trial="t999")), "does not fit"),
    "another trial's image": (edited(lambda c: c["votes"][0].update(left="i0")), "does not fit"),
    "a strange choice": (edited(lambda c: c["votes"][0].update(choice="both")), "does not fit"),
    "a double vote": (edited(lambda c: c["votes"].append(c["votes"][0])), "two votes"),
    "a time that is none": (edited(lambda c: c["votes"][0].update(ms=-5)), "no time"),
    "a time far too long": (edited(lambda c: c["votes"][0].update(ms=10**400)), "no time"),
    "a yes for a time": (edited(lambda c: c["votes"][0].update(ms=True)), "no time"),
    "a list for an image": (edited(lambda c: c["votes"][0].update(left=["i0"])), "does not fit"),
    "a dictionary for a choice": (edited(lambda c: c["votes"][0].update(choice={})), "does not fit"),
    "votes that are numbers": (edited(lambda c: c.update(votes=[1, 2]), False), "lacks"),
    "only hasty answers": (edited(lambda c: [row.update(ms=5) for row in c["votes"]]), "no answer"),
    "careless": (lambda key: json.dumps(spoil_catches(key)), "catch trials"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_votes_are_left_out_and_named(tmp_path: Path, key: study.Study, name: str) -> None:
    make, words = BAD[name]
    good = save(tmp_path, [ballot(key, "good", 5)])
    (tmp_path / "bad.json").write_text(make(key), encoding="utf-8")
    observers, problems = votes.read([*good, tmp_path / "bad.json"], key)
    assert [observer.name for observer in observers] == ["good"]
    (problem,) = (one for one in problems if one.file == "bad.json" and not one.used)
    assert words in problem.text


def test_doubtful_votes_are_said(tmp_path: Path, key: study.Study) -> None:
    hasty = ballot(key, "hasty", 5)
    for row in hasty["votes"][:3]:
        row["ms"] = 20
    one_sided = ballot(key, "left-handed", 5)
    for row in one_sided["votes"]:
        row["choice"] = "left"
        if next(trial.kind for trial in key.trials if trial.id == row["trial"]) == "catch":
            trial = next(trial for trial in key.trials if trial.id == row["trial"])
            row.update(left=trial.a, right=trial.b)
    twin = ballot(key, "hasty", 6)
    files = save(tmp_path, [seal(hasty), seal(one_sided), twin])
    observers, problems = votes.read(files, key)
    text = " ".join(problem.text for problem in problems)
    assert "3 answers in under 300 ms" in text
    assert "chose the left side" in text
    assert "another file" in text
    assert {observer.name for observer in observers} == {"hasty", "left-handed"}


def test_answers_without_a_catch_trial_are_said(tmp_path: Path, key: study.Study) -> None:
    """Someone who stopped early; the answers count, but nobody should take them for checked."""
    catches = {trial.id for trial in key.trials if trial.kind == "catch"}
    content = ballot(key, "early", 5)
    content["votes"] = [row for row in content["votes"] if row["trial"] not in catches]
    observers, problems = votes.read(save(tmp_path, [seal(content)]), key)
    assert [observer.name for observer in observers] == ["early"]
    assert "no catch trial" in problems[0].text
    assert problems[0].used


def test_a_changed_key_is_refused(tmp_path: Path, folder: Path) -> None:
    content = json.loads((folder / "study" / study.KEY).read_text(encoding="utf-8"))
    content["trials"][0]["model_a"] = "grey" if content["trials"][0]["model_a"] != "grey" else "red"
    (tmp_path / "key.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="changed after"):
        study.read_key(tmp_path / "key.json")
    (tmp_path / "key.json").write_text(json.dumps({**content, "version": 9}), encoding="utf-8")
    with pytest.raises(ValueError, match="version"):
        study.read_key(tmp_path / "key.json")


def test_debiased_choice_is_balanced_and_telling(folder: Path) -> None:
    found = results.load(Folder(folder))
    pairs = selection.candidates(found)
    contents = [condition.input.photograph for condition in found.conditions]
    chosen = selection.choose(pairs, contents, 9, "debiased", seed=0)
    assert len({(one.condition, one.first, one.second) for one in chosen}) == 9
    models = [(one.first, one.second) for one in chosen]
    shown = [contents[one.condition] for one in chosen]
    assert {models.count(one) for one in models} == {3}
    assert {shown.count(one) for one in shown} == {3}
    random = [selection.choose(pairs, contents, 9, "random", seed) for seed in range(20)]
    mean = np.mean([pair.value for draw in random for pair in draw])
    assert np.mean([pair.value for pair in chosen]) > mean
    assert selection.choose(pairs, contents, 9, "random", 3) == random[3]
    with pytest.raises(ValueError, match="strategy"):
        selection.choose(pairs, contents, 9, "best", 0)
    with pytest.raises(ValueError, match="fidelity"):
        selection.choose([], [], 9, "random", 0)


def test_simulated_studies_tell_what_the_choice_is_worth() -> None:
    """It saves votes where people see what the models part on, and none where they do not."""
    random = np.random.default_rng(0)
    pairs = [
        selection.Pair(condition, first, second, float(np.exp(random.standard_normal())))
        for condition in range(40)
        for first in range(4)
        for second in range(first + 1, 4)
    ]
    contents = [str(condition) for condition in range(40)]
    found = simulation.power(pairs, contents, 4, 24, follows=(0.0, 0.9), budgets=(40, 160), repeats=40)
    right = {(one.strategy, one.follows, one.votes): one.right for one in found}
    assert right["debiased", 0.9, 40] > right["random", 0.9, 40] + 0.03
    assert abs(right["debiased", 0.0, 40] - right["random", 0.0, 40]) < 0.08
    assert right["random", 0.9, 160] > right["random", 0.9, 40]
    assert simulation.votes_needed(found, "debiased", 0.9, 0.5) == 40
    assert simulation.votes_needed(found, "debiased", 0.9, 1.1) is None


def test_the_commands(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study"
    assert main(["study", str(folder), "--out", str(out), "--pairs", "6", "--simulate", "2"]) == 0
    assert "votes for 90 % right order" in capsys.readouterr().out
    key = study.read_key(out / study.KEY)
    ballots = tmp_path / "ballots"
    ballots.mkdir()
    save(ballots, [ballot(key, f"o{number}", number) for number in range(6)])
    (ballots / "empty.json").write_text("", encoding="utf-8")
    assert main(["rank", str(out / study.KEY), str(ballots), "--samples", "50"]) == 0
    text = capsys.readouterr().out
    assert "empty.json: it is empty; not used" in text
    assert "Krippendorff" in text
    content = json.loads((out / "ranking.json").read_text(encoding="utf-8"))
    assert set(content["degradations"]) == {"none", "noise"}
    assert content["problems"][0]["file"] == "empty.json"
    assert main(["rank", str(out / study.KEY), str(ballots / "empty.json")]) == 2
    assert "no usable vote" in capsys.readouterr().err
    assert main(["study", str(tmp_path / "nowhere")]) == 2
