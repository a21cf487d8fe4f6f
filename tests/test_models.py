"""The shipped networks and their files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dmap.models import Autoencoder, LatentDenoiser, QualityNet, load_model, read_model, save_model
from dmap.models.store import KINDS, WEIGHTS
from tools.demo import CLEAN, pixels, psnr
from toys import photograph

SHIPPED = {
    "demo_autoencoder": "autoencoder",
    "demo_denoiser": "denoiser",
    "dmap_quality": "quality",
    "dmap_quality_seed1": "quality",
    "dmap_guide": "quality",
    "dmap_policy": "quality",
    "dmap_judge": "judge",
}
SMALL = {
    "autoencoder": {"width": [8, 8], "blocks": [1, 1]},
    "denoiser": {"widths": [16, 32], "heads": 2},
    "quality": {"widths": [8, 16]},
    "judge": {"width": 8},
}


@pytest.mark.parametrize(("name", "kind"), SHIPPED.items())
def test_shipped_weights_load_and_have_a_card(name: str, kind: str) -> None:
    model = load_model(name, kind=kind)
    assert type(model) is KINDS[kind]
    assert not model.training
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    card = (WEIGHTS / f"{name.removesuffix('_seed1')}.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("Data", "Licence", "Recipe", "Figures", "Weaknesses"))


def test_shipped_weights_are_small_enough() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.glob("*.safetensors")) < 40e6


def test_the_autoencoder_keeps_the_sample() -> None:
    image = pixels(CLEAN)
    with torch.no_grad():
        model = load_model("demo_autoencoder")
        latent = model.encode(image * 2 - 1)
        back = (model.decode(latent) + 1) / 2
    assert psnr(back, image) > 31
    assert 0.5 < float(latent.std()) < 1.6
    assert (back - image).mean(dim=(0, 2, 3)).abs().max() < 0.005


def test_the_denoiser_denoises_the_sample() -> None:
    """At moderate noise the prediction must be much nearer to the clean latent than the noisy one is."""
    from dmap.method.denoiser import from_network
    from toys import TABLE

    image = pixels(CLEAN)
    with torch.no_grad():
        latent = load_model("demo_autoencoder").encode(image * 2 - 1)
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
        denoise = from_network(load_model("demo_denoiser"), "v", TABLE)
        for index in (199, 399):
            sigma = TABLE[index].float()
            error = (denoise(latent + sigma * noise, sigma) - latent).square().mean().sqrt()
            assert error < 0.75 * min(sigma, latent.std())


@pytest.mark.parametrize("size", [(8, 8), (13, 9), (24, 17)])
def test_the_denoiser_takes_any_size(size: tuple[int, int]) -> None:
    model = LatentDenoiser(widths=(16, 32), heads=2)
    out = model(
        torch.randn(2, 8, *size), torch.tensor([3.0, 900.0]), context=None, control=None, transformer_options={}
    )
    assert out.shape == (2, 8, *size)
    single = model(torch.randn(1, 8, *size), torch.tensor([3.0]))
    assert torch.isfinite(single).all()


def test_batch_equals_singles_in_the_denoiser() -> None:
    torch.manual_seed(0)
    model = LatentDenoiser(widths=(16, 32), heads=2).double()
    x, t = torch.randn(2, 8, 12, 12, dtype=torch.float64), torch.tensor([10.0, 700.0])
    with torch.no_grad():
        assert torch.allclose(model(x, t)[1:], model(x[1:], t[1:]), atol=1e-10)


@pytest.mark.parametrize("shift", [(0, 1), (1, 1), (2, 3)])
def test_the_quality_network_is_robust_to_small_shifts(shift: tuple[int, int]) -> None:
    image = pixels(CLEAN)
    model = load_model("dmap_quality")
    with torch.no_grad():
        moved = model(image[..., shift[0] : shift[0] + 320, shift[1] : shift[1] + 496])
        assert float((model(image[..., :320, :496]) - moved).abs()) < 2.0


@pytest.mark.parametrize("kind", list(KINDS))
def test_host_style_construction(kind: str) -> None:
    """A host hands in its own layer namespace, device and dtype; every layer must come from there."""
    made = []

    class Operations:
        def __getattr__(self, name: str) -> Callable[..., nn.Module]:
            def build(*args: object, **options: object) -> nn.Module:
                assert options["dtype"] is torch.float64
                made.append(getattr(nn, name)(*args, **options))
                return made[-1]

            return build

        __slots__ = ()

    model = KINDS[kind](**SMALL[kind], device="cpu", dtype=torch.float64, operations=Operations())
    owned = {id(parameter) for layer in made for parameter in layer.parameters()}
    assert {id(parameter) for parameter in model.parameters()} == owned


@pytest.mark.parametrize("kind", list(KINDS))
def test_save_and_load(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, file = KINDS[kind](**SMALL[kind]), tmp_path / "m.safetensors"
    save_model(model, SMALL[kind], file, dtype=torch.float32, notes={"seed": "0"})
    loaded = load_model(file, kind=kind)
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in model.state_dict().items())
    assert read_model(file).config == SMALL[kind]
    with pytest.raises(ValueError, match=r"m\.safetensors: it holds"):
        load_model(file, kind=next(other for other in KINDS if other != kind))


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save_model(QualityNet(widths=(8, 16)), {"widths": [8, 16]}, file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(file)
    file.write_bytes(b"\x80\x04 a pickle, perhaps")
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(file)
    with pytest.raises(ValueError, match="nothing_here"):
        load_model("nothing_here")
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="not a model of this pack"):
        load_model(file)
    header = {"format": "dmap-model", "version": "1", "kind": "quality"}
    save_file({"x": torch.zeros(1)}, file, metadata={**header, "version": "7"})
    with pytest.raises(ValueError, match="version 7"):
        load_model(file)
    save_file({"x": torch.zeros(1)}, file, metadata=header)
    with pytest.raises(ValueError, match="config"):
        load_model(file)
    save_file({"x": torch.zeros(1)}, file, metadata={**header, "config": '{"widths": [8, 16]}'})
    with pytest.raises(ValueError, match="do not fit"):
        load_model(file)
    save_file({"x": torch.zeros(1)}, file, metadata={**header, "config": '{"nonsense": 1}'})
    with pytest.raises(ValueError, match="do not fit"):
        load_model(file)


def test_the_autoencoder_names_a_wrong_size() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        Autoencoder(width=(8, 8), blocks=(1, 1)).encode(photograph(1, 30).float())
