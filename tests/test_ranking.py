"""Votes to a ranking: a known order comes back, and bad votes are found and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import choix
import numpy as np
import pytest
from scipy import optimize, stats

from comparetoys import LevelPrior, comparison, models
from dmap.cli import main
from dmap.compare import ranking, results, selection, simulation, study, votes
from dmap.compare.folder import Folder
from dmap.fingerprint import digest

MODELS = ("smooth", "red", "grey")
TRUTH = {"smooth": 0.0, "red": 1.2, "grey": -1.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comparison") / "toys"
    judges = {"blue": LevelPrior("blue", 2, 0.6), "dim": LevelPrior("dim", 1, 0.1)}
    comparison(path, count=3, named={**models(), **judges}, judges=tuple(judges)).run()
    study.make(results.load(Folder(path)), Folder(path), path / "study", 18, 10, 8, "debiased", seed=1)
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
    assert all(any(word in problem.text for word in ("catch", "side", "repeated")) for problem in problems)
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


def world(seed: int, observers: int, photos: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts of a study in which photographs and observers differ, and the strengths of the mean vote in it."""
    random = np.random.default_rng(seed)
    mean = np.array([0.8, 0.2, -0.2, -0.8])
    on_photo, by_observer = 0.7 * random.standard_normal((photos, 4)), 0.5 * random.standard_normal((observers, 4))
    counts = np.zeros((observers, photos, 4, 4))
    for first in range(4):
        for second in range(first + 1, 4):
            taste = mean + on_photo[None] + by_observer[:, None]
            won = random.random((observers, photos)) < 1 / (1 + np.exp(taste[..., second] - taste[..., first]))
            counts[..., first, second], counts[..., second, first] = won, ~won
    # The mean vote: over all people and photographs there could be.
    spread = np.sqrt(2 * (0.7**2 + 0.5**2)) * np.random.default_rng(9).standard_normal(100_000)
    share = (1 / (1 + np.exp(-(mean[:, None] - mean[None])[..., None] - spread))).mean(axis=-1)
    return counts, ranking.strengths(1e6 * share)


def held(low: np.ndarray, truth: np.ndarray, high: np.ndarray) -> np.ndarray:
    return (low <= truth) & (truth <= high)


@pytest.mark.parametrize(("observers", "photos"), [(10, 10), (30, 8)])
def test_intervals_hold_the_mean_vote_over_people_and_photographs(observers: int, photos: int) -> None:
    """Nominal 95 %. Observers alone give intervals far too narrow, the more so the more observers there are."""
    crossed, alone = [], []
    for seed in range(50):
        counts, truth = world(seed, observers, photos)
        for found, given in ((crossed, counts), (alone, counts.sum(axis=1, keepdims=True))):
            low, high = np.quantile(ranking.strengths(ranking.resampled(given, 200, seed)), [0.025, 0.975], axis=0)
            found.append(held(low, truth, high))
    assert 0.9 <= np.mean(crossed) <= 0.99
    assert np.mean(alone) < 0.85


def test_strengths_by_hand() -> None:
    """Two models, 3 votes to 1: log 3, drawn in a little by the weak prior."""
    strengths = ranking.strengths(np.array([[0.0, 300.0], [100.0, 0.0]]))
    assert strengths[0] - strengths[1] == pytest.approx(np.log(3), rel=0.01)
    assert np.isfinite(ranking.strengths(np.array([[0.0, 5.0], [0.0, 0.0]]))).all()
    assert not ranking.connected(np.diag([0.0, 0.0, 0.0]))
    split = np.zeros((4, 4))
    split[0, 1] = split[2, 3] = 5
    assert not ranking.connected(split)


def test_strengths_are_a_library_s() -> None:
    """choix fits the same posterior; models that met unevenly or never, and clean sweeps, included."""
    penalty = 1 / (2 * ranking.PRIOR_DEVIATION**2)  # choix adds it times the sum of squares
    random = np.random.default_rng(0)
    for size in (2, 3, 6):
        for _ in range(10):
            count = random.integers(0, 12, (size, size)) * (random.random((size, size)) < 0.7)
            np.fill_diagonal(count, 0)
            won = [(i, j) for i in range(size) for j in range(size) for _ in range(count[i, j])]
            theirs = choix.opt_pairwise(size, won, alpha=penalty, tol=1e-9)
            assert ranking.strengths(count.astype(float)) == pytest.approx(theirs - theirs.mean(), abs=1e-3)


def test_thurstone_is_scipys_probit() -> None:
    """Strengths by the normal distribution, against a plain maximisation with SciPy's."""
    count = np.random.default_rng(0).integers(1, 30, (4, 4)).astype(float)
    np.fill_diagonal(count, 0)

    def loss(values: np.ndarray) -> float:
        likely = stats.norm.logcdf(values[:, None] - values[None])
        return float(-(count * likely).sum() + (values**2).sum() / (2 * ranking.PRIOR_DEVIATION**2))

    theirs = optimize.minimize(loss, np.zeros(4)).x
    assert ranking.strengths(count, "probit") == pytest.approx(theirs - theirs.mean(), abs=1e-4)
    two = ranking.strengths(np.array([[0.0, 3e4], [1e4, 0.0]]), "probit")
    assert two[0] - two[1] == pytest.approx(stats.norm.ppf(0.75), abs=1e-3)
    many = ranking.strengths(np.stack([count, count.T]))
    assert many[1] == pytest.approx(ranking.strengths(count.T)), "many at once are as each alone"


def test_alpha_as_published() -> None:
    """Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), example A: ten units, two observers, 0.095."""
    assert ranking.nominal_alpha(list(zip("0100000010", "1110010000", strict=True))) == pytest.approx(0.095, abs=5e-4)
    assert ranking.nominal_alpha([("a",), ("b",)]) is None


def voters(answers: list[str], turned: set[int]) -> list[votes.Observer]:
    """Observers who answer 1 for one model and 0 for the other; which is called the first is turned in some units."""
    observers = []
    for number, given in enumerate(answers):
        taken = []
        for unit, value in enumerate(given):
            sides = ("other", "one") if unit in turned else ("one", "other")
            trial = study.Trial(f"t{unit}", "pair", "photo", "none", 1.0, f"a{unit}", f"b{unit}", *sides, 0)
            winner = "one" if value == "1" else "other"
            taken.append(votes.Vote(trial, winner, "other" if winner == "one" else "one", 1000.0))
        observers.append(votes.Observer(f"o{number}", tuple(taken), (0, 0), (0, 0), 0.5))
    return observers


def test_agreement_does_not_depend_on_which_model_is_called_a() -> None:
    one_sided = ["1" * 47 + "000", "1" * 50]  # 94 % agree, and one model is always called the first
    found = [ranking.agreement(voters(one_sided, turned)) for turned in (set(), set(range(50)), set(range(0, 50, 2)))]
    assert found[0] == pytest.approx(2 * 0.94 - 1, abs=0.01)
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])
    assert ranking.nominal_alpha(list(zip(*one_sided, strict=True))) == pytest.approx(0, abs=0.03), (
        "what it said before"
    )


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
    observers, problems = votes.read(save(tmp_path, [seal(content) for content in random]), key)
    assert len(observers) == 12
    assert abs(ranking.agreement(observers) or 0.0) < 0.15
    assert sum("repeated pairs alike" in problem.text for problem in problems) >= 7, "repeats at chance"


def test_random_clickers_do_not_pass(key: study.Study, tmp_path: Path) -> None:
    clickers = [ballot(key, f"c{number}", 500 + number, careless=True) for number in range(100)]
    observers, problems = votes.read(save(tmp_path, clickers), key)
    assert len(observers) <= 5
    careful = [ballot(key, f"o{number}", number) for number in range(40)]
    kept, problems = votes.read(save(tmp_path, careful), key)
    assert len(kept) >= 38
    assert sum("repeated" in problem.text for problem in problems) < 20
    assert [votes.catches_needed(count) for count in (4, 5, 6, 10, 12)] == [None, None, 6, 9, 10]
    assert votes.tail(9, 10) <= votes.CLICKER_ODDS < votes.tail(8, 10)


def edited(change: Callable[[dict[str, Any]], Any], reseal: bool = True) -> Callable[[study.Study], str]:
    def make(key: study.Study) -> str:
        content = ballot(key, "bad", 3)
        change(content)
        return json.dumps(seal(content) if reseal else content)

    return make


def spoil_catches(key: study.Study) -> dict[str, Any]:
    """Someone who prefers the spoiled image in the first two catch trials: eight of ten are too few."""
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
    "a time far too long": (edited(lambda c: c["votes"][0].update(ms=10**400)), "401 digits"),
    "a yes for a time": (edited(lambda c: c["votes"][0].update(ms=True)), "ms is True, a number"),
    "a list for an image": (edited(lambda c: c["votes"][0].update(left=["i0"])), "a text is expected"),
    "a dictionary for a choice": (edited(lambda c: c["votes"][0].update(choice={})), "a text is expected"),
    "votes that are numbers": (edited(lambda c: c.update(votes=[1, 2]), False), "an object is expected"),
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


def test_a_key_of_the_version_before_is_read(tmp_path: Path, key: study.Study) -> None:
    """Votes may have been gathered with it; it knows neither fingerprints nor ties."""
    content = {name: value for name, value in asdict(key).items() if name not in ("id", "prints", "ties")}
    file = tmp_path / study.KEY
    old = {"format": study.FORMAT, "version": 2, **content, "id": digest(content)}
    file.write_text(json.dumps(old), encoding="utf-8")
    found = study.read_key(file)
    assert found.trials == key.trials
    assert found.models_by_name == {}


def test_debiased_choice_is_balanced_and_telling(folder: Path) -> None:
    loaded = results.load(Folder(folder))
    found = replace(loaded, cosines=np.full_like(loaded.cosines, np.nan))
    pairs = selection.candidates(found)
    gains = found.gains[pairs[0].condition] / found.deviation
    strangers = [index for index in range(5) if index not in (pairs[0].first, pairs[0].second)]
    change = (gains[pairs[0].first] - gains[pairs[0].second])[strangers]
    assert pairs[0].value == pytest.approx(change.std()), "the models themselves have no say"
    contents = [condition.input.photograph for condition in found.conditions]
    chosen = selection.choose(pairs, contents, 9, "debiased", seed=0)
    assert len({(one.condition, one.first, one.second) for one in chosen}) == 9
    models = [(one.first, one.second) for one in chosen]
    shown = [contents[one.condition] for one in chosen]
    assert {models.count(one) for one in models} == {3}
    assert {shown.count(one) for one in contents} <= {2, 3, 4}, "as evenly as the pairs that are left allow"
    random = [selection.choose(pairs, contents, 9, "random", seed) for seed in range(20)]
    mean = np.mean([pair.value for draw in random for pair in draw])
    assert np.mean([pair.value for pair in chosen]) > mean
    assert selection.choose(pairs, contents, 9, "random", 3) == random[3]
    with pytest.raises(ValueError, match="strategy"):
        selection.choose(pairs, contents, 9, "best", 0)
    with pytest.raises(ValueError, match="fidelity"):
        selection.choose([], [], 9, "random", 0)


def candidates(spread: float) -> tuple[list[selection.Pair], list[str]]:
    """All pairs of four models on forty contents; the logarithm of their disagreement varies so much."""
    random = np.random.default_rng(0)
    pairs = [
        selection.Pair(condition, first, second, float(np.exp(spread * random.standard_normal())))
        for condition in range(40)
        for first in range(4)
        for second in range(first + 1, 4)
    ]
    return pairs, [str(condition) for condition in range(40)]


def test_simulated_studies_tell_what_the_choice_is_worth() -> None:
    """It helps where people see what the judges part on and that varies much, and else it does not."""
    found = simulation.power(*candidates(1.3), 4, 24, follows=(0.0, 1.0), budgets=(40, 160), repeats=120)
    of = {(one.strategy, one.follows, one.votes): one for one in found}
    told = of["debiased", 1.0, 160]
    assert told.more > 2 * told.more_error
    assert simulation.claim(found, 1.0).startswith("debiased pairs order more models rightly")
    assert simulation.claim(found, 0.0).startswith("no difference shown")
    assert of["random", 1.0, 160].right > of["random", 1.0, 40].right
    assert of["random", 1.0, 40].more == of["random", 1.0, 40].more_error == 0
    assert simulation.votes_needed(found, "debiased", 1.0, 0.5) == 40
    assert simulation.votes_needed(found, "debiased", 1.0, 1.1) is None


def test_the_strength_of_disagreement_counts_in_the_simulation() -> None:
    """Where all pairs part the judges about alike there is nothing to choose by, however people follow it."""
    alike = simulation.power(*candidates(0.05), 4, 24, follows=(1.0,), budgets=(40, 160), repeats=60)
    assert simulation.claim(alike, 1.0).startswith("no difference shown")
    pairs, _ = candidates(1.3)
    seen = simulation.visibility(pairs, 1.0, np.random.default_rng(1))
    less = simulation.visibility(candidates(0.05)[0], 1.0, np.random.default_rng(1))
    assert np.log(seen).std() > 2 * np.log(less).std()
    doubled = [replace(pair, value=2 * pair.value) for pair in pairs]
    assert simulation.visibility(doubled, 1.0, np.random.default_rng(1)) == pytest.approx(seen), "unit of the value"


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
    assert "resampling observers (6) and photographs (3)" in text
    assert "Thurstone" in text
    content = json.loads((out / "ranking.json").read_text(encoding="utf-8"))
    assert set(content["degradations"]) == {"none", "noise"}
    assert content["problems"][0]["file"] == "empty.json"
    assert main(["rank", str(out / study.KEY), str(ballots / "empty.json")]) == 2
    assert "no usable vote" in capsys.readouterr().err
    assert main(["study", str(tmp_path / "nowhere")]) == 2
