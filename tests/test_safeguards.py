"""Against reward hacking: the judge, the latent prior, the warning."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dmap.image.plot import plot_trace
from dmap.method.ascent import Ascent, AscentSettings
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.judge import Judge, warnings
from dmap.method.latent_prior import LatentPrior, autocorrelation
from dmap.method.objective import Objective
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from dmap.priors import Prior, PriorInfo
from dmap.priors.logistic import IdentityMap
from toys import TABLE, SmoothnessPrior, latents, network_denoiser


def decode(latent: Tensor) -> Tensor:
    return torch.sigmoid(torch.nn.functional.interpolate(latent[:, :3], scale_factor=4, mode="bilinear"))


class Opposite(Prior):
    """Likes exactly what SmoothnessPrior dislikes."""

    def __init__(self) -> None:
        super().__init__(PriorInfo("opposite", True, (0.0, 100.0), 16, "none", True, "toy"), IdentityMap())
        self.other = SmoothnessPrior()

    def score(self, image: Tensor) -> Tensor:
        return 100 - self.other(image)


def climb(judge: Judge | None = None, batch: slice = slice(0, 2), weight: float = 0.0, iterations: int = 5) -> Ascent:
    latent = latents()[batch]
    path = make_solver("residual_ddim").invert(network_denoiser(), Schedule.from_table(TABLE, 3, 0.4), latent)
    chain = Chain(path, network_denoiser(), decode)
    objective = Objective(SmoothnessPrior(), fidelity("mse"), decode(latent), 1.0, 1.0, 0)
    held = LatentPrior(chain.start(), weight, weight) if weight else None
    ascent = Ascent(chain, objective, AscentSettings(iterations, "adam", 0.05, 101.0), judge, held)
    ascent.run()
    return ascent


def test_a_judge_that_disagrees_stops_the_ascent() -> None:
    free, judged = climb(), climb(Judge(Opposite(), patience=2, tolerance=0.1))
    assert free.trace.stopped == ["iterations", "iterations"]
    assert judged.trace.stopped == ["judge", "judge"]
    assert len(judged.trace.rows) < len(free.trace.rows)
    assert all(row.judge == pytest.approx([100 - q for q in row.prior], abs=1e-3) for row in judged.trace.rows)


def test_a_judge_that_agrees_changes_nothing() -> None:
    free, judged = climb(), climb(Judge(SmoothnessPrior(), patience=1, tolerance=0.0))
    assert torch.equal(free.image, judged.image)  # type: ignore[arg-type]
    assert judged.trace.stopped == free.trace.stopped
    assert warnings(judged.trace) == []
    assert warnings(free.trace) == []


def test_the_judges_best_can_be_kept() -> None:
    judged = climb(Judge(Opposite(), patience=4, tolerance=0.1, keep_best=True))
    assert judged.trace.best_iteration == [0, 0]


def test_each_image_has_its_own_judgement() -> None:
    both = climb(Judge(Opposite(), patience=2, tolerance=8.0))
    for index in range(2):
        alone = climb(Judge(Opposite(), patience=2, tolerance=8.0), slice(index, index + 1))
        assert both.trace.stopped[index] == alone.trace.stopped[0]
        assert both.trace.best_iteration[index] == alone.trace.best_iteration[0]
        assert torch.allclose(both.image[index], alone.image[0], atol=1e-9)  # type: ignore[index]


def test_a_warning_when_prior_and_judge_part_ways() -> None:
    judged = climb(Judge(Opposite(), patience=50))
    lines = warnings(judged.trace)
    assert len(lines) == 2
    assert "image 1: prior and judge part ways" in lines[0]
    assert plot_trace(judged.trace).shape == (1, 3, 640, 960)


def test_patience_counts_iterations_in_a_row() -> None:
    judge = Judge(SmoothnessPrior(), patience=2, tolerance=1.0)
    scores = [50.0, 48.0, 49.5, 48.0, 48.5]
    assert [bool(judge.worse(torch.tensor([s]))) for s in scores] == [False, False, False, False, True]


def test_white_noise_has_no_correlation_and_stripes_have() -> None:
    white = torch.randn(1, 2, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    assert float(autocorrelation(white).abs().max()) < 0.05
    stripes = white + 2 * torch.sin(torch.arange(64.0)).reshape(1, 1, 1, 1, -1)
    assert float(autocorrelation(stripes).abs().max()) > 0.3


def test_the_latent_prior_is_nothing_at_the_start_and_grows_from_there() -> None:
    start = latents(2, size=16)[None]
    held = LatentPrior(start, 1.0, 1.0)
    assert float(held(start).abs().max()) < 1e-12
    assert float(held(1.1 * start)[0]) == pytest.approx(1.0, rel=1e-6)
    smooth = torch.nn.functional.avg_pool2d(start[0], 3, 1, 1)[None]
    assert float(held(smooth * start.std() / smooth.std()).min()) > 1
    only_norm = LatentPrior(start, 1.0, 0.0)
    assert float(only_norm(-start).abs().max()) < 1e-12


def test_the_latent_prior_has_an_exact_gradient() -> None:
    start = latents(1, size=6)[None]
    held = LatentPrior(start, 0.7, 1.3)
    z = (1.2 * start + 0.1 * latents(1, size=6, seed=5)[None]).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: held(x).sum(), (z,))


def test_the_latent_prior_holds_the_latent_in_an_ascent() -> None:
    free, held = climb(iterations=12), climb(weight=300.0)
    start = free.chain.start()
    change = [abs(a.trace.rows[-1].latent_norm[0] - a.trace.rows[0].latent_norm[0]) for a in (free, held)]
    assert change[1] < change[0]
    strict = LatentPrior(start, 1.0, 1.0)
    assert float(strict(held._z).mean()) < float(strict(free._z).mean())


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: Judge(SmoothnessPrior(), patience=0), "patience"),
        (lambda: Judge(SmoothnessPrior(), tolerance=-1.0), "tolerance"),
        (lambda: LatentPrior(latents()[None], -1.0, 0.0), "latent_norm_weight"),
        (lambda: LatentPrior(latents()[None], 0.0, -1.0), "whiteness_weight"),
    ],
)
def test_bad_values_are_named(build: object, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        build()  # type: ignore[operator]
