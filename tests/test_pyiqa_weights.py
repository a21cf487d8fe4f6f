"""pyiqa's metrics get their weights from the user's folders: safely read, and refused when they are something else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from weighttoys import CNNIQA, Trap, cnniqa_weights, pin

from dmap.priors import PRIORS, WeightStore, check_gradient, load_prior, prior_names
from dmap.priors.checkpoint import convert
from dmap.priors.compose import MultiScalePrior
from toys import photograph


@pytest.mark.parametrize(
    ("metric", "file"),
    [
        ("brisque", "brisque_svm_weights.pth"),
        ("niqe", "niqe_modelparameters.mat"),
        ("cnniqa", CNNIQA),
        ("musiq", "musiq_koniq_ckpt-e95806b9.pth"),
        ("clipiqa", "RN50.pt"),
        ("liqe", "ViT-B-32.pt"),
        ("unique", "UNIQUE.pt"),
        ("paq2piq", "P2P_RoIPoolModel"),
        ("dbcnn", "DBCNN_scnn"),
    ],
)
def test_missing_weights_are_named_and_nothing_is_fetched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, metric: str, file: str
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(ValueError, match=f"pyiqa:{metric}") as caught:
        load_prior(f"pyiqa:{metric}", WeightStore((folder,)))
    assert file in str(caught.value)
    assert "https://" in str(caught.value)
    assert f"put it into {folder}" in str(caught.value)


def test_weights_are_read_from_the_folder_as_pth_and_as_safetensors(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both give the network that was saved; the gradient passes the gate."""
    weights, image = cnniqa_weights(), photograph(2, 96).float()
    torch.save(weights, folder / CNNIQA)
    pin(folder / CNNIQA, monkeypatch)
    store = WeightStore((folder,))
    first = load_prior("pyiqa:cnniqa", store)
    for key, value in first.network.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(value, weights["params"][key])
    convert(folder / CNNIQA, folder / CNNIQA.replace(".pth", ".safetensors"))
    (folder / CNNIQA).unlink()
    second = load_prior("pyiqa:cnniqa", store)
    with torch.no_grad():
        assert torch.equal(first(image), second(image))
    check_gradient(second, image[:1])


def test_the_papers_ms_liqe_loads_its_files(folder: Path) -> None:
    """The checkpoint trained on six data sets, on a CLIP ViT of patch 32 made narrow; CLIP as a conversion.

    The real width goes the same way: CLIP's sizes are read off its tensors.
    """
    from pyiqa.archs.clip_model import CLIP

    torch.manual_seed(5)
    narrow = (64, 224, 1, 64, 32, 77, 49408, 64, 1, 1)
    torch.save(CLIP(*narrow).state_dict(), folder / "ViT-B-32.pth")
    convert(folder / "ViT-B-32.pth", folder / "ViT-B-32.safetensors")
    saved = {f"clip_model.{key}": value for key, value in CLIP(*narrow).state_dict().items()}
    torch.save({"params": saved}, folder / "liqe_mix.pt")
    store, image = WeightStore((folder,)), photograph(1, 320).float()
    assert "pyiqa:liqe_mix" in prior_names(store)[len(PRIORS) :][:1]
    prior = load_prior("pyiqa:liqe_mix", store)
    loaded = prior.network.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(loaded[key], value) for key, value in saved.items())
    both = MultiScalePrior(prior, (1.0, 0.75))
    with torch.no_grad():
        small = nn.functional.interpolate(image, size=(240, 240), mode="bicubic", antialias=True).clamp(0, 1)
        assert torch.allclose(both(image), (prior(image) + prior(small)) / 2)
    assert not any(file.name.startswith("liqe_text") for file in folder.parent.rglob("*"))
    torch.save({"params": dict(list(saved.items())[:-2])}, folder / "liqe_mix.pt")
    with pytest.raises(ValueError, match=r"liqe_mix\.pt.* do not fit"):
        load_prior("pyiqa:liqe_mix", store)


def test_a_local_file_that_is_not_the_one_in_its_name_is_refused(folder: Path) -> None:
    """The digits in a name are the first of the file's own SHA-256; a conversion is not that file and has none."""
    torch.save(cnniqa_weights(), folder / CNNIQA)
    with pytest.raises(ValueError, match=r"damaged or another one: its SHA-256 begins with [0-9a-f]{8}, .*e6f14c91"):
        load_prior("pyiqa:cnniqa", WeightStore((folder,)))
    convert(folder / CNNIQA, folder / CNNIQA.replace(".pth", ".safetensors"))
    assert load_prior("pyiqa:cnniqa", WeightStore((folder,))).info.name == "pyiqa:cnniqa"


def test_pyiqas_own_cache_is_honoured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Path(torch.hub.get_dir()) / "pyiqa"
    cache.mkdir(parents=True)
    torch.save(cnniqa_weights(), cache / CNNIQA)
    pin(cache / CNNIQA, monkeypatch)
    assert load_prior("pyiqa:cnniqa", WeightStore((folder,))).info.name == "pyiqa:cnniqa"


def _other_shapes(weights: dict[str, Any]) -> dict[str, Any]:
    return {"params": {key: torch.zeros(3) for key in weights["params"]}}


def _some_missing(weights: dict[str, Any]) -> dict[str, Any]:
    return {"params": dict(list(weights["params"].items())[:3])}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_other_shapes, "do not fit"),
        (_some_missing, "do not fit"),
        (lambda weights: weights["params"], "do not fit"),
        (lambda weights: {}, "do not fit"),
        (lambda weights: {"params": {}}, "do not fit"),
        (lambda weights: torch.zeros(3), "do not fit"),
    ],
)
def test_weights_of_another_architecture_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[dict[str, Any]], Any], words: str
) -> None:
    torch.save(spoil(cnniqa_weights()), folder / CNNIQA)
    pin(folder / CNNIQA, monkeypatch)
    with pytest.raises(ValueError, match=words) as caught:
        load_prior("pyiqa:cnniqa", WeightStore((folder,)))
    assert str(folder / CNNIQA) in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "pickle"])
def test_damaged_weights_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """By their content alone, where no digest is known."""
    monkeypatch.setattr("dmap.priors.weights._IN_NAME", re.compile("no digest"))
    file = folder / CNNIQA
    torch.save({"params": Trap(folder / "sprung")} if damage == "pickle" else cnniqa_weights(), file)
    if damage != "pickle":
        file.write_bytes({"empty": b"", "cut": file.read_bytes()[:-5000], "text": b"<html>not found</html>"}[damage])
    with pytest.raises(ValueError, match=f"pyiqa:cnniqa: weights file {CNNIQA}: it is damaged"):
        load_prior("pyiqa:cnniqa", WeightStore((folder,)))
    assert not (folder / "sprung").exists()


def test_an_interrupt_while_downloading_is_not_called_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older hosts interrupt by an ordinary Exception, which must reach them as it is."""

    class InterruptError(Exception):
        pass

    def fetch(*_: Any) -> None:
        raise InterruptError

    monkeypatch.setattr("dmap.priors.weights.fetch", fetch)  # the real source is out of a test's reach
    with pytest.raises(InterruptError):
        load_prior("pyiqa:cnniqa", WeightStore((folder,), download=True))


def test_damaged_matlab_files_and_foreign_scripts_are_refused(folder: Path) -> None:
    (folder / "niqe_modelparameters.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 200)
    with pytest.raises(ValueError, match=r"niqe_modelparameters\.mat.*MATLAB"):
        load_prior("pyiqa:niqe", WeightStore((folder,)))
    torch.jit.script(nn.Linear(2, 2)).save(str(folder / "RN50.pt"))  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match=r"RN50\.pt: .*its SHA-256 begins with"):
        load_prior("pyiqa:clipiqa", WeightStore((folder,)))
