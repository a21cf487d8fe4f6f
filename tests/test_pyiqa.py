"""The real pyiqa as a source of priors."""

import os
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image

from dmap.priors import check_gradient, load_prior
from dmap.priors.pyiqa_adapter import PyiqaPrior, build
from scripts.demo import pixels
from toys import photograph

PARAMETERS = os.environ.get("NIQE_PARAMETERS", "")
needs_niqe = pytest.mark.skipif(
    not PARAMETERS, reason="nothing is downloaded; name NIQE's niqe_modelparameters.mat in NIQE_PARAMETERS to run it"
)
# pyiqa's published scores of the five images that its package carries.
PUBLISHED = [15.6538, 3.6549, 3.2342, 3.1922, 9.0722]


@pytest.fixture
def niqe() -> PyiqaPrior:
    return PyiqaPrior("niqe", pretrained_model_path=PARAMETERS)


@needs_niqe
def test_niqe_gives_the_published_scores(niqe: PyiqaPrior, tmp_path: Path) -> None:
    import pyiqa

    folder = Path(pyiqa.__file__).resolve().parent.parent / "ResultsCalibra" / "dist_dir"
    files = sorted(folder.glob("I*.bmp"))
    assert len(files) == 5
    scores = []
    for file in files:
        with Image.open(file) as image:
            image.convert("RGB").save(tmp_path / "a.png")
        with torch.no_grad():
            scores.append(float(niqe.score(pixels(tmp_path / "a.png"))))
    assert scores == pytest.approx(PUBLISHED, abs=1e-2)


@needs_niqe
def test_niqe_can_be_climbed(niqe: PyiqaPrior) -> None:
    assert not niqe.info.higher_better
    assert not niqe.info.commercial_use
    image = photograph(1, 192).float()
    check_gradient(niqe, image)
    with torch.no_grad():
        assert 0 <= float(niqe(image)) <= 100


def test_a_metric_without_gradient_is_refused_by_the_gate() -> None:
    with pytest.raises(ValueError, match=r"pyiqa:piqe.*gradient"):
        check_gradient(PyiqaPrior("piqe"), photograph(1, 128).float())


def test_missing_weights_are_named_and_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCH_HOME", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ValueError, match=r"pyiqa:brisque.*weights"):
        load_prior("pyiqa:brisque")
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and file.stat().st_size > 10_000]


def test_unknown_and_full_reference_metrics() -> None:
    for name in ("no_such_metric", "lpips"):
        with pytest.raises(ValueError, match=name):
            build(name, as_loss=True)


def test_side_effects_of_pyiqa_do_not_leak() -> None:
    environment, filters = dict(os.environ), list(warnings.filters)
    flags = torch.backends.cudnn.benchmark, torch.is_grad_enabled()
    build("piqe", as_loss=False)
    assert dict(os.environ) == environment
    assert list(warnings.filters) == filters
    assert (torch.backends.cudnn.benchmark, torch.is_grad_enabled()) == flags
