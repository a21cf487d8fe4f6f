"""The recipes, on a folder of made-up photographs, for a few steps."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg, resample
from dmap.models import QualityNet, load_model, save_model
from tools.training import denoiser, flow, guide, judge, policy, quality
from tools.training.__main__ import main
from tools.training.assess import assess, monotone, uphill
from tools.training.data import Crops, heldout_names, list_photos, reserve
from tools.training.denoiser import draw_timesteps
from tools.training.draw import Degrader, Draws, OtherDegrader
from tools.training.judge import label as judge_label
from tools.training.quality import attack, calibrate, correlation, label, uphill_error
from toys import SmoothnessPrior, photograph


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        array = photograph(1, 320, seed)[0].mul(255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(folder / f"{seed}.png")
    Image.fromarray(array).save(folder / sorted(heldout_names())[0])
    return folder


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An autoencoder of two steps, which the other recipes need."""
    out = tmp_path_factory.mktemp("out")
    assert main(["autoencoder", "--photos", str(photos), "--out", str(out), "--steps", "2"]) == 0
    return out


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        ("autoencoder", "demo_autoencoder"),
        ("quality", "dmap_quality"),
        ("guide", "dmap_guide"),
        ("policy", "dmap_policy"),
        ("judge", "dmap_judge"),
        ("denoiser", "demo_denoiser"),
        ("flow", "demo_flow"),
    ],
)
def test_a_recipe_trains_and_resumes(
    photos: Path, trained: Path, recipe: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "CLEAN", 6)
    monkeypatch.setattr(judge, "HELD_OUT", 2)
    for module in (quality, guide):
        monkeypatch.setattr(module, "CALIBRATION", 4)
    for constant, value in {"FIRST": 1, "ITERATIONS": 1, "KEPT": (1,), "CLEAN": 1}.items():
        monkeypatch.setattr(policy, constant, value)
    arguments = [recipe, "--photos", str(photos), "--out", str(trained), "--steps"]
    assert main([*arguments, "3"]) == 0
    first = load_model(trained / f"{name}.safetensors").state_dict()
    checkpoint = (trained / recipe / "checkpoint.safetensors").read_bytes()
    assert main([*arguments, "3"]) == 0  # nothing left to do
    again = load_model(trained / f"{name}.safetensors").state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert main([*arguments, "5"]) == 0
    more = load_model(trained / f"{name}.safetensors").state_dict()
    assert any(not torch.equal(first[key], more[key]) for key in first)
    assert (trained / recipe / "checkpoint.safetensors").read_bytes() != checkpoint


def test_an_empty_folder_is_an_error_with_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["autoencoder", "--photos", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "photos" in capsys.readouterr().err


def test_a_shipped_model_is_trained_further_by_its_name(
    photos: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(trained / "demo_autoencoder.safetensors", tmp_path)
    arguments = ["flow", "--photos", str(photos), "--out", str(tmp_path), "--steps", "1", "--start"]
    assert main([*arguments, "demo_denoiser"]) == 0
    assert (tmp_path / "demo_flow.safetensors").exists()
    assert main([*arguments, "demo_nothing"]) == 2
    assert "demo_nothing.safetensors" in capsys.readouterr().err


def test_held_out_photographs_are_never_listed_for_training(photos: Path) -> None:
    assert len(heldout_names()) >= 30
    training, held = list_photos(photos, heldout=False), list_photos(photos, heldout=True)
    assert {file.name for file in held} <= heldout_names()
    assert not {file.name for file in training} & heldout_names()
    assert len(training) == 3


def test_the_second_lots_photographs_are_set_apart(tmp_path: Path) -> None:
    reporting = [one for one in reserve() if not one.tuning]
    assert len(reporting) >= 30
    assert sum(one.face is not None for one in reporting) >= 16
    assert len({one.name for one in reserve()} | heldout_names()) == len(reserve()) + len(heldout_names())
    picture = Image.fromarray(photograph(1, 320)[0].mul(255).byte().permute(1, 2, 0).numpy())
    for name in (reserve()[0].name, sorted(heldout_names())[0], "another.png"):
        picture.save(tmp_path / name)
    assert [file.name for file in list_photos(tmp_path, heldout=False)] == ["another.png"]
    assert [file.name for file in list_photos(tmp_path, heldout=True)] == [sorted(heldout_names())[0]]
    assert reserve()[0].crop(tmp_path, 64).shape == (3, 64, 64)


def test_a_pool_lets_the_oldest_go_and_turns_pairs_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "POOL", 4)
    pool, generator = policy.Pool.empty(), torch.Generator().manual_seed(0)
    for value in range(3):
        images = torch.rand(2, 3, quality.SIDE, quality.SIDE, generator=generator) / 10 + value
        pool.add(images, images + 1)
    assert len(pool.images) == 4
    assert float(pool.images.min()) >= 1
    drawn, originals = pool.draw(16, generator)
    assert torch.allclose(originals, drawn + 1, atol=2e-3)


def test_crops_have_the_size_and_range(photos: Path) -> None:
    crops = Crops.load(list_photos(photos, False), (1.5, 3.0), 96, torch.Generator().manual_seed(0))
    batch = crops.batch(4, 64)
    assert batch.shape == (4, 3, 64, 64)
    assert 0 <= float(batch.min()) < float(batch.max()) <= 1
    assert len(crops.images) == 6


def test_degradations_keep_shape_and_get_worse() -> None:
    x, generator = photograph(2, 96).float(), torch.Generator().manual_seed(0)
    for series in (
        [gaussian_blur(x, sigma) for sigma in (0.5, 1.0, 2.0)],
        [gaussian_noise(x, sigma, generator) for sigma in (0.02, 0.05, 0.1)],
        [jpeg(x, level) for level in (80, 40, 10)],
        [resample(x, factor) for factor in (1.3, 2.0, 4.0)],
    ):
        assert all(y.shape == x.shape for y in series)
        labels = [float(label(y, x).mean()) for y in series]
        assert labels == sorted(labels, reverse=True)
    assert float(label(x, x).min()) == pytest.approx(80.0)


@pytest.mark.parametrize("cls", [Degrader, OtherDegrader])
def test_every_kind_of_degradation_runs(cls: type[Draws]) -> None:
    draws, x = cls(torch.Generator().manual_seed(0)), photograph(1, 64).float()
    for kind in draws.kinds:
        for severity in (0.0, 1.0):
            degraded = kind(x, severity)
            assert degraded.shape == x.shape
            assert torch.isfinite(degraded).all(), kind


def test_a_defocused_or_moved_picture_keeps_its_mean() -> None:
    draws, x = OtherDegrader(torch.Generator().manual_seed(0)), photograph(1, 64).float()
    for _ in range(5):
        for kind in (draws.defocused, draws.moved):
            assert float(kind(x, 0.7).mean()) == pytest.approx(float(x.mean()), abs=0.01)


@pytest.mark.parametrize(("cls", "known"), [(Degrader, label), (OtherDegrader, judge_label)])
def test_a_higher_severity_is_a_worse_picture(cls: type[Draws], known: Callable[[Tensor, Tensor], Tensor]) -> None:
    """On average: single draws of a mixture may differ."""
    draws, x = cls(torch.Generator().manual_seed(0)), photograph(1, 96).float()
    for kind in draws.kinds:
        mild, strong = (
            sum(float(known(kind(x, severity).clamp(0, 1), x)) for _ in range(6)) for severity in (0.1, 0.9)
        )
        assert strong < mild - 6, kind


def test_versions_hold_the_clean_picture_sometimes() -> None:
    draws, x = Degrader(torch.Generator().manual_seed(0)), photograph(1, 64).float()
    drawn = [draws.versions(x, 3) for _ in range(40)]
    assert all(len(versions) == 3 for versions in drawn)
    clean = sum(any(torch.equal(one, x) for one in versions) for versions in drawn)
    assert 5 <= clean <= 25


def test_judge_and_prior_share_no_degradation() -> None:
    generator = torch.Generator()
    names = [{kind.__name__ for kind in cls(generator).kinds} for cls in (Degrader, OtherDegrader)]
    assert not names[0] & names[1]


def test_the_judges_label_falls_with_the_strength() -> None:
    x = photograph(1, 64).float()
    labels = [float(judge_label(gaussian_blur(x, sigma), x)) for sigma in (0.5, 1.0, 2.0)]
    assert labels == sorted(labels, reverse=True)
    assert float(judge_label(x, x)) == pytest.approx(80.0)


def test_the_gradients_error_is_an_angle() -> None:
    """A score that is minus the squared distance to the original has no error, its negative the largest."""
    clean = photograph(3, 64).float()
    images = (clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))).requires_grad_(True)
    score = -(images - clean).square().sum(dim=(1, 2, 3))
    assert float(uphill_error(score, images, clean).detach()) == pytest.approx(0.0, abs=1e-5)
    assert float(uphill_error(-score, images, clean).detach()) == pytest.approx(2.0, abs=1e-5)
    same = clean.clone().requires_grad_(True)
    assert float(uphill_error(-(same - clean).square().sum(dim=(1, 2, 3)), same, clean).detach()) == 0


def test_layers_that_are_added_change_nothing_at_first(tmp_path: Path) -> None:
    network, file = QualityNet(widths=(8, 8), fine=1), tmp_path / "small.safetensors"
    save_model(network, {"widths": (8, 8), "fine": 1}, file, dtype=torch.float32)
    grown, config = guide.begin(file)
    assert config["fine"] == guide.FINE == 2
    x = photograph(2, 64).float()
    assert torch.allclose(grown(x), network(x))


def test_the_gradients_goal_is_the_distance() -> None:
    clean = photograph(3, 64).double()
    noise = torch.randn(clean.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images = (clean + 0.1 * noise / noise.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()).requires_grad_(True)
    score = -guide.POINTS * (images - clean).square().mean(dim=(1, 2, 3)).sqrt()
    missing = 1 - 0.1 / (0.1 + guide.SLIGHT)
    assert float(guide.gradient_error(score, images, clean).detach()) == pytest.approx(missing**2, rel=1e-4)
    assert float(guide.gradient_error(-score, images, clean).detach()) == pytest.approx((2 - missing) ** 2, rel=1e-4)
    same = clean.clone().requires_grad_(True)
    assert float(guide.gradient_error(0 * same.sum(dim=(1, 2, 3)), same, clean).detach()) == 0


def test_the_gradient_is_trained(photos: Path) -> None:
    """A few steps on one batch turn it towards the clean crops."""
    torch.manual_seed(0)
    images = [torch.from_numpy(np.array(Image.open(photos / "0.png").convert("RGB"))).permute(2, 0, 1)]
    batch = next(iter(quality.Batches(images, 2, 0)))
    network = QualityNet(widths=(8, 16), fine=1)
    before, optimiser = guide.mean_cosine(network, [batch]), torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(40):
        moved = batch[0].clone().requires_grad_(True)
        optimiser.zero_grad()
        guide.gradient_error(quality.score_of(network, moved), moved, batch[1]).backward()
        optimiser.step()
    assert guide.mean_cosine(network, [batch]) > before + 0.1


def test_an_attack_raises_the_score() -> None:
    network, x = SmoothnessPrior(), photograph(2, 64).float()
    attacked = attack(network, x, None, Degrader(torch.Generator().manual_seed(0)))
    assert (network(attacked) > network(x)).all()


def test_timesteps_favour_the_range_of_restoration() -> None:
    timesteps = draw_timesteps(4000, torch.Generator().manual_seed(0))
    assert int(timesteps.min()) >= 0
    assert int(timesteps.max()) <= 999
    assert float((timesteps < 600).float().mean()) == pytest.approx(0.75, abs=0.01)


def test_rank_correlation_by_hand() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert correlation(x, x**3) == pytest.approx(1.0)
    assert correlation(x, -x) == pytest.approx(-1.0)
    assert correlation(x, torch.tensor([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.8)


def test_calibration_gives_the_scores_the_known_spread_and_keeps_their_order() -> None:
    torch.manual_seed(0)
    network, images = QualityNet(widths=(8, 16)), photograph(12, 64).float()
    images = images * torch.linspace(0.2, 1, 12).reshape(-1, 1, 1, 1)
    with torch.no_grad():
        before, known = network(images), torch.linspace(10, 80, 12)
        calibrate(network, images, known)
        after = network(images)
    assert float(torch.logit(after / 100).mean()) == pytest.approx(float(torch.logit(known / 100).mean()), abs=0.02)
    assert float(torch.logit(after / 100).std()) == pytest.approx(float(torch.logit(known / 100).std()), rel=0.02)
    assert torch.equal(before.argsort(), after.argsort())


def test_figures_of_a_network(photos: Path) -> None:
    """A network that knows the clean picture's distance has a perfect correlation and falls at every level."""
    text = assess(SmoothnessPrior(), photos, 96, lambda x, _: SmoothnessPrior()(x), 1)
    assert "| all series | 1.000 |" in text
    assert monotone(torch.tensor([[3.0, 2.0, 1.0], [3.0, 1.0, 1.0]])) == 0.5


def test_the_cosine_of_gradient_and_way_to_the_original() -> None:
    clean = photograph(1, 64).float()
    image = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))

    def nearness(x: Tensor) -> Tensor:
        return -(x - clean[..., 5:-11, 3:-13]).square().sum(dim=(1, 2, 3))

    assert uphill(nearness, image, clean) == pytest.approx(1, abs=1e-5)
    assert uphill(lambda x: -nearness(x), image, clean) == pytest.approx(-1, abs=1e-5)


def test_the_flow_recipe_asks_for_the_velocity() -> None:
    """x = (1 - s) x0 + s n at the times with the noise of Stable Diffusion's levels; the loss of n - x0 itself is 0."""
    latents = torch.randn(3, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    timesteps, seen = torch.tensor([10, 500, 990]), []
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))

    class Exact(torch.nn.Module):
        def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
            s = (times / 1000).reshape(-1, 1, 1, 1)
            seen.append(s.flatten())
            assert torch.allclose(x, (1 - s) * latents + s * noise, atol=1e-6)
            return noise - latents

    loss = flow.flow_loss(Exact(), latents, timesteps, torch.Generator().manual_seed(2))
    assert torch.equal(loss, torch.zeros(3))
    assert torch.allclose(seen[0] / (1 - seen[0]), denoiser.TABLE[timesteps].float(), rtol=1e-5)
