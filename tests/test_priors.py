"""Properties that every prior must have, the common scale, and what is said when one cannot be had."""

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg
from dmap.priors import PRIORS, Prior, PriorInfo, WeightStore, catalogue, check_gradient, load_prior, maps, prior_names
from dmap.priors.compose import MixedPrior, MultiScalePrior, RobustPrior
from dmap.priors.logistic import IdentityMap, LogisticMap
from priortoys import APPROXIMATE, BUILDERS
from tools import brisque, niqe
from tools.demo import CLEAN, pixels
from toys import SmoothnessPrior, photograph

ROOT = Path(__file__).resolve().parent.parent
NIQE = niqe.parameters()
needs_niqe = pytest.mark.skipif(NIQE is None, reason=niqe.MISSING)
BRISQUE = brisque.published()
needs_brisque = pytest.mark.skipif(BRISQUE is None, reason=brisque.MISSING)
EVERY = {**BUILDERS, **APPROXIMATE}
each = pytest.mark.parametrize("name", list(EVERY))


@each
def test_scores_are_on_the_common_scale_one_an_image(name: str) -> None:
    prior, images = EVERY[name](), photograph(3, 96).float()
    with torch.no_grad():
        scores = prior(images)
        assert scores.shape == (3,)
        assert ((scores >= 0) & (scores <= 100)).all()
        for index in range(3):
            assert torch.allclose(scores[index], prior(images[index : index + 1])[0], rtol=1e-4)
        assert torch.equal(prior(images), scores)


@pytest.mark.parametrize("name", list(BUILDERS))
def test_gradient_against_finite_differences(name: str) -> None:
    prior = BUILDERS[name]().double().requires_grad_(False)
    x = photograph(2, 96).requires_grad_(True)
    (gradient,) = torch.autograd.grad(prior(x).sum(), x)
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(2))
    step = 1e-6
    with torch.no_grad():
        ahead, behind = (prior(x + s * step * direction).sum() for s in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float((ahead - behind) / (2 * step)), rel=1e-4)


@each
def test_the_gate_lets_it_pass(name: str) -> None:
    size, tolerance = (192, 0.75) if name in APPROXIMATE else (96, 0.1)
    prior = EVERY[name]()
    for part in (*prior.leaves(), prior):
        part.info = replace(part.info, vouched=False)  # these are the tests that vouch
    check_gradient(prior, photograph(1, size).float(), tolerance)


@each
def test_sizes_and_channels_are_checked(name: str) -> None:
    prior = EVERY[name]()
    smallest = prior.info.min_size
    with pytest.raises(ValueError, match=f"{re.escape(prior.info.name)}.*at least"):
        prior(torch.zeros(1, 3, smallest - 1, 200))
    with pytest.raises(ValueError, match="RGB"):
        prior(torch.zeros(1, 4, 200, 200))
    assert torch.isfinite(prior(photograph(1, smallest).float())).all()


def real_priors(folder: Path) -> dict[str, Callable[[], Prior]]:
    """Those whose real weights are at hand, alone and as compositions."""
    files = [file for file in (NIQE, BRISQUE and brisque.write(BRISQUE, folder)) if file is not None]
    store = WeightStore(tuple(file.parent for file in files))

    def own() -> Prior:
        return load_prior("dmap_quality")

    return {
        **PRIORS,
        "pyiqa:niqe": lambda: load_prior("pyiqa:niqe", store),
        "pyiqa:brisque": lambda: load_prior("pyiqa:brisque", store),
        "softmin": lambda: MixedPrior([own(), load_prior("dmap_nss")], [1, 1], "softmin"),
        "multiscale": lambda: MultiScalePrior(own()),
        "robust": lambda: RobustPrior(own(), noise=0.002),  # more of it hides blur and JPEG
    }


@pytest.mark.parametrize(
    "name",
    [
        *PRIORS,
        pytest.param("pyiqa:niqe", marks=needs_niqe),
        pytest.param("pyiqa:brisque", marks=needs_brisque),
        *("softmin", "multiscale", "robust"),
    ],
)
@pytest.mark.parametrize("kind", ["blur", "noise", "jpeg"])
def test_more_degradation_never_scores_higher(name: str, kind: str, tmp_path: Path) -> None:
    """On the sample photograph, with real weights; 1 point of tolerance."""
    clean, generator = pixels(CLEAN), torch.Generator().manual_seed(0)
    versions = {
        "blur": [gaussian_blur(clean, sigma) for sigma in (0.7, 1.2, 2.0)],
        "noise": [gaussian_noise(clean, sigma / 255, generator) for sigma in (5, 12, 25)],
        "jpeg": [jpeg(clean, quality) for quality in (60, 30, 10)],
    }[kind]
    prior = real_priors(tmp_path)[name]()
    with torch.no_grad():
        scores = [float(prior(image)) for image in (clean, *versions)]
    assert all(later <= earlier + 1.0 for earlier, later in itertools.pairwise(scores)), scores
    least = 2 if name in ("dmap_guide", "dmap_policy") else 10  # trained for their gradients, not as judges
    assert scores[-1] < scores[0] - least, scores


class Broken(Prior):
    """A prior with a gradient that the gate must refuse."""

    def __init__(self, kind: str) -> None:
        super().__init__(PriorInfo(kind, True, (0, 1), 8, "", True, ""), IdentityMap())
        self.kind = kind

    def score(self, image: torch.Tensor) -> torch.Tensor:
        mean = image.mean(dim=(1, 2, 3))
        if self.kind == "none":
            return mean.detach()
        if self.kind == "zero":
            return mean * 0
        if self.kind == "nan":
            return (mean * 0).sqrt()
        return mean.detach() * 2 + (image**3).mean(dim=(1, 2, 3)) * 0.01  # "wrong": most of the change has no gradient


@pytest.mark.parametrize(
    ("kind", "words"), [("none", "no gradient"), ("zero", "zero"), ("nan", "not finite"), ("wrong", "disagrees")]
)
def test_the_gate_refuses(kind: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_gradient(Broken(kind), photograph(1, 64).float())


@pytest.mark.parametrize("kind", ["none", "zero", "nan", "wrong"])
def test_the_gate_asks_every_part_of_a_composition(kind: str) -> None:
    """The others' gradient would hide a part that counts in the score and is never climbed."""
    image, broken = photograph(1, 96).float(), Broken(kind)
    mixture = MixedPrior([SmoothnessPrior(), MultiScalePrior(broken, (1.0,))], [1, 1])
    with pytest.raises(ValueError, match=f"^prior {kind}: "):
        check_gradient(mixture, image)
    without = MixedPrior([SmoothnessPrior(), broken], [1, 0])
    check_gradient(without, image)
    assert [leaf.info.name for leaf in without.leaves()] == [SmoothnessPrior().info.name]


@pytest.mark.parametrize("vouched", [True, False])
def test_of_a_vouched_prior_the_gradient_alone_is_looked_at(vouched: bool) -> None:
    prior = Broken("wrong")
    prior.info = replace(prior.info, vouched=vouched)
    if vouched:
        check_gradient(prior, photograph(1, 64).float())
    else:
        with pytest.raises(ValueError, match="disagrees"):
            check_gradient(prior, photograph(1, 64).float())


@each
def test_only_what_the_tests_check_is_vouched_for(name: str) -> None:
    """Every shipped prior, and what is made of them alone; nobody else's model."""
    prior = EVERY[name]()
    own = all(leaf.info.name.startswith("dmap_") for leaf in prior.leaves())
    assert prior.info.vouched == own


def test_mixtures_by_hand() -> None:
    image = photograph(2, 96).float()
    first, second = SmoothnessPrior(), load_prior("dmap_quality")
    with torch.no_grad():
        a, b = first(image), second(image)
        assert torch.allclose(MixedPrior([first, second], [1, 3])(image), (a + 3 * b) / 4)
        soft = MixedPrior([first, second], [1, 1], "softmin")(image)
        assert (soft >= torch.minimum(a, b)).all()
        assert (soft <= (a + b) / 2).all()
        assert torch.equal(MixedPrior([first, second], [1, 0], "softmin")(image), a)
        assert torch.allclose(MultiScalePrior(first, [1.0])(image), a)
        assert torch.allclose(RobustPrior(first, 3, shift=0, noise=0.0)(image), a)
        assert not torch.allclose(RobustPrior(first, 3, seed=1)(image), RobustPrior(first, 3, seed=2)(image))


def test_a_mixture_is_as_restricted_as_its_narrowest_part() -> None:
    small, closed = SmoothnessPrior(), Broken("zero")
    closed.info = PriorInfo("closed", True, (0, 1), 200, "noncommercial", False, "")
    info = MixedPrior([small, closed], [1, 1]).info
    assert not info.commercial_use
    assert info.min_size == 200
    assert "noncommercial" in info.licence


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda p: MixedPrior([p], [1, 1]), "one weight a prior"),
        (lambda p: MixedPrior([p, p], [1, -1]), "weights: got"),
        (lambda p: MixedPrior([p, p], [0, 0]), "weights: got"),
        (lambda p: MixedPrior([p, p], [1, 1], "max"), "mode: got 'max'"),
        (lambda p: MultiScalePrior(p, []), "scales: got"),
        (lambda p: MultiScalePrior(p, [1.5]), "scales: got"),
        (lambda p: RobustPrior(p, views=0), "views: got 0"),
        (lambda p: RobustPrior(p, noise=-0.1), "noise: got"),
    ],
)
def test_bad_compositions(build: Callable[[Prior], Prior], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(SmoothnessPrior())


@pytest.mark.parametrize("higher_better", [True, False])
def test_logistic_map(higher_better: bool) -> None:
    scale = LogisticMap.from_range(2.0, 12.0, higher_better)
    raw = torch.linspace(0, 14, 50, dtype=torch.float64)
    mapped = scale(raw)
    assert torch.allclose(scale.inverse(mapped), raw)
    assert ((mapped.diff() > 0) == higher_better).all()
    ends = scale(torch.tensor([2.0, 12.0], dtype=torch.float64))
    assert sorted(ends.tolist()) == pytest.approx([2.0, 98.0])


def test_bad_maps_and_names() -> None:
    with pytest.raises(ValueError, match="slope"):
        LogisticMap(0.0, 0.0)
    with pytest.raises(ValueError, match="range"):
        LogisticMap.from_range(1.0, 1.0, True)
    with pytest.raises(ValueError, match="choose one of dmap_quality"):
        load_prior("no_such")


def test_another_map_has_the_models_direction_folded_in() -> None:
    image = photograph(1, 96).float()
    usual, other = load_prior("dmap_quality"), load_prior("dmap_quality", score_map=(30.0, 0.1))
    with torch.no_grad():
        raw = usual.score(image)
        assert torch.allclose(other(image), LogisticMap(30.0, 0.1)(raw))
    piqe = load_prior("pyiqa:piqe", score_map=(30.0, 0.1))  # lower is better
    values = piqe.score_map(torch.tensor([20.0, 30.0, 40.0]))
    assert values[0] > values[1] > values[2]
    assert float(values[1]) == 50.0
    with pytest.raises(ValueError, match="slope: got 0"):
        load_prior("dmap_quality", score_map=(0.0, 0.0))


def test_every_catalogued_map_is_monotone_the_better_way() -> None:
    for metric in catalogue.METRICS.values():
        scale, ends = catalogue.score_map(metric), torch.tensor(metric.scale, dtype=torch.float64)
        low, high = scale(ends).tolist()
        assert (high > low) == metric.higher_better, metric.name
        if f"pyiqa:{metric.name}" in maps.shipped():  # fitted: its middle is a middling photograph's score
            assert min(low, high) < 30, metric.name
            assert max(low, high) > 70, metric.name
        else:
            assert sorted((low, high)) == pytest.approx([2.0, 98.0]), metric.name


def test_names_list_ours_first_and_pyiqas_always() -> None:
    assert prior_names()[0] == "dmap_quality"
    assert "pyiqa:musiq" in prior_names()


def test_without_pyiqa_the_pack_works_and_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['pyiqa'] = None\n"
        "from dmap.priors import load_prior\n"
        "load_prior('dmap_quality')\n"
        "try: load_prior('pyiqa:niqe')\n"
        "except ValueError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install pyiqa" in result.stdout
    assert "noncommercial" in result.stdout


def test_importing_the_pack_does_not_import_pyiqa() -> None:
    code = "import sys; import dmap.priors, dmap.method.objective, dmap.method.ascent; print('pyiqa' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
