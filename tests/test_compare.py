"""The comparison of quality models: fair by construction, resumable, honest about what is missing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from comparetoys import LevelPrior, PixelEngine, comparison, models, photographs, plan, without
from dmap import fingerprint
from dmap.compare import results, specs, statistics
from dmap.compare.folder import Folder
from dmap.compare.inputs import from_bytes, read_folder
from dmap.compare.plan import Plan
from dmap.compare.run import Comparison, Progress
from dmap.compare.search import CENTRING, RANGE, search
from dmap.method.fidelity import fidelity
from dmap.priors import load_prior
from dmap.settings import Settings
from toys import photograph


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison") / "toys"
    comparison(folder, count=3, levels=(3e-4, 6e-4)).run()
    return folder


def test_all_outputs_are_as_far_from_the_photograph_as_wanted(finished: Path) -> None:
    found = results.load(Folder(finished))
    assert len(found.conditions) == 3 * 2 * 2
    measure = fidelity("mse")
    for condition in found.conditions:
        images, _ = Folder(finished).read_images("inputs", condition.input.key) or ({}, {})
        for cell in condition.cells:
            assert cell is not None
            assert cell.matched
            output = (Folder(finished).read_images("cells", cell.key) or ({}, {}))[0]["image"]
            distance = float(measure(from_bytes(output), from_bytes(images["photograph"])))
            assert distance == pytest.approx(
                condition.input.start_distance + condition.level, abs=0.1 * condition.level
            )


def test_every_model_gains_most_where_it_was_climbed(finished: Path) -> None:
    found = results.load(Folder(finished))
    gains, _ = statistics.cross_scores(found, found.select(), gain=True)
    assert (gains.argmax(axis=0) == np.arange(3)).all()
    further, _ = statistics.cross_scores(found, found.select(level=6e-4), gain=True)
    nearer, _ = statistics.cross_scores(found, found.select(level=3e-4), gain=True)
    assert (np.diagonal(further) > np.diagonal(nearer)).all()


def test_progress_counts_cells(tmp_path: Path) -> None:
    seen: list[Progress] = []
    comparison(tmp_path, count=1, degradations=("none",)).run(seen.append)
    assert [state.done for state in seen] == sorted(state.done for state in seen)
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, 3, 3)


def test_all_ascents_begin_alike_and_spend_the_same(tmp_path: Path) -> None:
    images: list[Tensor] = []

    def decode(x: Tensor) -> Tensor:
        if x.shape[-1] == 48:  # not the part that memory is measured on
            images.append(x.detach().clone())
        return x

    engine, settings = PixelEngine(decode), plan(degradations=("none",))
    Comparison(settings, Folder(tmp_path), photographs(1), [], models(), engine).run()
    (condition,) = results.load(Folder(tmp_path)).conditions
    trials = [len(cell.trials) for cell in condition.cells if cell is not None]
    assert sum(trials) > 3
    each = settings.iterations + 1  # the start, and what follows every change
    start, *climbed = images
    # Before a cell's ascents the photograph is compared with its start.
    assert len(climbed) == sum(trials) * each + len(trials)
    begun = next(one for one in climbed if not torch.equal(one, start))
    assert torch.allclose(begun, start, atol=1e-5)  # the start again, up to the round trip's rounding
    assert sum(torch.equal(one, begun) for one in climbed) >= sum(trials)  # what was best at once is decoded again


def test_matched_means_within_the_tolerance(tmp_path: Path) -> None:
    """With a single ascent most miss: near misses are no matches either."""
    comparison(tmp_path, count=3, levels=(1e-4, 3e-4, 6e-4, 1e-3, 3e-3), searches=1).run()
    cells = [cell for one in results.load(Folder(tmp_path)).conditions for cell in one.cells if cell is not None]
    misses = [abs(cell.distance - cell.target) / (0.1 * cell.level) for cell in cells]
    assert any(1 < miss < 5 for miss in misses)
    assert [cell.matched for cell in cells] == [miss <= 1 for miss in misses]


def test_an_output_that_missed_counts_nowhere_and_the_others_do(finished: Path) -> None:
    found = results.load(Folder(finished))
    missed = without(found, 0, 1)
    assert missed.select().tolist() == found.select().tolist()
    assert missed.counted[0].tolist() == [True, False, True]
    assert np.isnan(missed.gains[0, 1]).all()
    assert np.isfinite(missed.gains[0, [0, 2]]).all()


def test_the_level_is_beyond_the_start(tmp_path: Path) -> None:
    """An autoencoder that changes the picture: its own distance is nobody's merit or fault."""

    settings = plan(degradations=("none",))
    Comparison(settings, Folder(tmp_path), photographs(1), [], models(), PixelEngine(lambda x: 0.97 * x)).run()
    found = results.load(Folder(tmp_path))
    (condition,) = found.conditions
    images, _ = Folder(tmp_path).read_input(condition.input.key) or ({}, {})
    start = [float(model(from_bytes(images["start"]))) for model in models().values()]
    assert found.start[0] == pytest.approx(start)
    assert found.start[0] != pytest.approx(found.photograph[0], abs=0.1)
    assert found.gains[0] == pytest.approx(found.scores[0] - np.array(start)), "a gain is over the start"
    assert condition.input.start_distance > condition.level / 2
    for cell in condition.cells:
        assert cell is not None
        assert cell.target == pytest.approx(condition.input.start_distance + condition.level)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"priors": ("smooth",)}, "at least two"),
        ({"priors": ("smooth", "smooth")}, "twice"),
        ({"degradations": ("rain",)}, "degradations"),
        ({"levels": ()}, "levels"),
        ({"levels": (-0.1,)}, "levels"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"iterations": 0}, "iterations"),
        ({"fidelity": "wishes"}, "fidelity"),
    ],
)
def test_bad_plans_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(**change)


def test_the_ascent_is_the_nodes_own_by_default() -> None:
    usual, ours = Settings(), Plan(priors=("a", "b"))
    inversion = ("solver", "steps", "strength")
    for name in ("fidelity", "fidelity_weight", "iterations", "rule", "step_size", "shift", *inversion):
        assert getattr(ours, name) == getattr(usual, name), name


def test_unreadable_photographs_are_skipped_and_listed(tmp_path: Path) -> None:
    array = photograph(1, 100)[0].mul(255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(tmp_path / "good.png")
    Image.fromarray(array[:40]).save(tmp_path / "small.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "twin.png").write_bytes(whole)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(array).save(tmp_path / "exif.webp", exif=exif)
    damaged = (tmp_path / "exif.webp").read_bytes().replace(b"MM\x00*", b"MM\x01*")
    (tmp_path / "exif.webp").write_bytes(damaged)
    (tmp_path / "notes.txt").write_text("not looked at", encoding="utf-8")
    found, skipped = read_folder(tmp_path, 64, 8, names=[])
    assert [one.name for one in found] == ["good.png"]
    names = {"small.png", "broken.jpg", "empty.jpg", "cut.png", "exif.webp", "twin.png"}
    assert {one.name for one in skipped} == names
    assert next(one.reason for one in skipped if one.name == "twin.png") == "it is the same file as good.png"
    assert found[0].pixels.shape == (1, 3, 64, 64)
    assert [one.name for one in read_folder(tmp_path, 0, 8, ["good.png", "gone.png"])[1]] == ["gone.png"]
    with pytest.raises(ValueError, match="no photograph"):
        read_folder(tmp_path, 2000, 8)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_search_finds_the_weight_of_a_known_curve(scale: float) -> None:
    curve = lambda weight: 0.1 * (1 - math.exp(-((weight / scale) ** 1.3)))  # noqa: E731
    trials, best = search(curve, target=0.05, tolerance=0.002, first=1.0, most=12, level=0.05)
    assert abs(trials[best].distance - 0.05) <= 0.002
    again, _ = search(curve, target=0.05, tolerance=0.002, first=trials[best].weight, most=12, level=0.05)
    assert len(again) <= 1 + CENTRING


def test_outputs_end_in_the_middle_of_the_tolerance() -> None:
    """Each search begins where the last one ended; without centring it stops at that model's edge of the tolerance."""
    random = np.random.default_rng(0)
    for power in (0.6, 1.0, 1.6):
        first, offsets, ascents = 1.0, [], []
        for _ in range(200):
            scale = 50 * math.exp(0.3 * random.standard_normal())
            curve = lambda weight: 0.1 + 0.3 * (1 - math.exp(-((weight / scale) ** power)))  # noqa: B023, E731
            trials, best = search(curve, target=0.15, tolerance=0.005, first=first, most=8, level=0.05)
            first = trials[best].weight
            offsets.append((trials[best].distance - 0.15) / 0.05)
            ascents.append(len(trials))
        assert abs(np.mean(offsets)) < 0.01, "of the level"
        assert np.mean(np.abs(offsets) < 0.03) > 0.95
        assert np.mean(ascents) < 5.5


def test_a_target_out_of_reach_is_given_up() -> None:
    curve = lambda weight: 0.01 * weight / (1 + weight)  # noqa: E731
    trials, best = search(curve, target=1.0, tolerance=0.01, first=1.0, most=50, level=1.0)
    assert len(trials) < 10
    assert trials[best].weight == RANGE[1]


def test_specs_of_compositions() -> None:
    image = photograph(1, 96).float()
    own = load_prior("dmap_quality")
    with torch.no_grad():
        mixed = specs.build("mean(3 dmap_quality, robust(multiscale(dmap_quality)))")
        assert mixed(image).shape == (1,)
        assert torch.equal(specs.build("dmap_quality")(image), own(image))
        assert not torch.equal(specs.build("robust(dmap_quality)")(image), own(image))
    for wrong in ("robust(dmap_quality, dmap_quality)", "mean()", "sum(dmap_quality)", "no such", "mean(dmap_quality"):
        with pytest.raises(ValueError, match=r"prior|choose"):
            specs.build(wrong)


def test_the_networks_in_a_composition() -> None:
    assert specs.leaves(specs.build("mean(robust(dmap_nss), multiscale(dmap_spectrum))")) == [
        "dmap_nss",
        "dmap_spectrum",
    ]
    assert specs.leaves(load_prior("dmap_quality")) == ["dmap_quality"]


def test_fingerprints_tell_trainings_and_mixtures_apart() -> None:
    prints = [
        fingerprint.of_prior(prior)
        for prior in (
            LevelPrior("a", 0, 0.5),
            LevelPrior("a", 0, 0.6),
            specs.build("mean(1 dmap_nss, 2 dmap_spectrum)"),
            specs.build("mean(1 dmap_nss, 3 dmap_spectrum)"),
            specs.build("softmin(1 dmap_nss, 3 dmap_spectrum)"),
        )
    ]
    assert len(set(prints)) == 5
    assert fingerprint.of_prior(LevelPrior("a", 0, 0.5)) == prints[0]


def test_standard_errors_are_over_photographs() -> None:
    """Two conditions of a photograph count as one observation."""
    values = np.array([[1.0], [3.0], [6.0], [6.0]])
    mean, error = statistics.mean_and_error(values, ["a", "a", "b", "b"])
    assert mean[0] == 4.0
    assert error[0] == pytest.approx(np.std([2.0, 6.0], ddof=1) / math.sqrt(2))
    assert np.isnan(statistics.mean_and_error(values[:2], ["a", "a"])[1][0])


def test_statistics_by_hand(finished: Path) -> None:
    loaded = results.load(Folder(finished))
    found = replace(loaded, cosines=np.full_like(loaded.cosines, np.nan))  # kin by name alone
    chosen = found.select(degradation="none", level=3e-4)
    gains = found.gains[chosen]
    assert found.related.tolist() == np.eye(3, dtype=bool).tolist()
    assert statistics.judging(found).kind == "effects"
    standing = statistics.standing(found, chosen)
    assert standing.own[0][1] == pytest.approx(gains[:, 1, 1].mean())
    assert standing.fooled[0] == pytest.approx(standing.own[0] - standing.others[0])
    # Every output moved by about 0.0003: the cost is the unconfirmed gain for 33 times that.
    assert standing.cost[0] == pytest.approx(standing.fooled[0] * 0.01 / 3e-4, rel=0.2)
    assert np.abs(standing.offset[0]).max() <= 0.1
    excess, _ = statistics.fooled_by(found, chosen)
    assert excess[0, 1] == pytest.approx((gains[:, 0, 1] - gains[:, 0, 2]).mean())
    judged = replace(found, parts=[{"a"}, {"a"}, {"b"}])
    kin = replace(found, parts=[{"a"}, {"b"}, {"a", "b"}])
    assert kin.related.tolist() == [[True, False, True], [False, True, True], [True, True, True]]
    assert statistics.judging(kin).kind == "nobody"
    assert np.isnan(statistics.standing(kin, chosen).others[0]).all()
    assert judged.common == []
    scores, _ = statistics.cross_scores(found, chosen, gain=False)
    assert scores == pytest.approx(found.scores[chosen].mean(axis=0))
    units, errors = statistics.cross_scores(found, chosen, gain=True, deviations=True)
    assert units == pytest.approx(gains.mean(axis=0) / found.deviation)
    spread = gains[:, 0, 1].std(ddof=1) / len(gains) ** 0.5
    assert errors[0, 1] == pytest.approx(spread / found.deviation[1])


def test_resemblance_to_the_photograph_is_measured(finished: Path) -> None:
    found = results.load(Folder(finished))
    condition = found.conditions[0]
    stored, cell = Folder(finished).read_input(condition.input.key), condition.cells[1]
    assert stored is not None
    assert cell is not None
    output = Folder(finished).read_cell(cell.key)
    assert output is not None
    error = (from_bytes(output[0]) - from_bytes(stored[0]["photograph"])).square().mean()
    assert found.resemblance["photograph_psnr"][0, 1] == pytest.approx(-10 * math.log10(error), abs=1e-3)
    assert np.isfinite(found.resemblance["photograph_ssim"]).all()
    assert np.isfinite(found.cosines[0, 1:]).all(), "gradients were not compared"
