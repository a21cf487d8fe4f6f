"""The real pyiqa as a source of priors: its catalogue, and that its side effects are contained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from weighttoys import CNNIQA, cnniqa_weights

from dmap.priors import PRIORS, Prior, WeightStore, catalogue, check_gradient, load_prior, prior_names
from dmap.priors.catalogue import METRICS
from dmap.priors.catalogue.licences import _FAMILIES
from dmap.priors.containment import Filled, Nothing, files_from, process_state_kept
from dmap.priors.measure import measure, synthetic_image
from dmap.priors.page import markdown
from dmap.priors.pyiqa_adapter import PyiqaPrior, build
from dmap.priors.random_weights import RandomFiles
from dmap.priors.stored import StoredFiles
from dmap.priors.weights import NOWHERE
from tools import brisque, niqe
from tools.demo import pixels
from toys import photograph

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = niqe.parameters()
needs_niqe = pytest.mark.skipif(PARAMETERS is None, reason=niqe.MISSING)
BRISQUE = brisque.published()
needs_brisque = pytest.mark.skipif(BRISQUE is None, reason=brisque.MISSING)
# pyiqa's published scores of the five images that its package carries.
PUBLISHED = {
    "brisque": [94.6452, -0.1082, 1.0759, 5.1423, 66.8381],
    "entropy": [6.9511, 6.9661, 7.5309, 7.5565, 5.7629],
    "niqe": [15.6538, 3.6549, 3.2342, 3.1922, 9.0722],
    "piqe": [100.0, 21.6242, 35.8646, 41.147, 76.9485],
}
with_parameters = pytest.mark.parametrize(
    "name", [pytest.param("brisque", marks=needs_brisque), pytest.param("niqe", marks=needs_niqe)]
)


def with_real_parameters(name: str, folder: Path) -> Prior:
    if name == "niqe" and PARAMETERS is not None:
        (folder / "niqe_modelparameters.mat").symlink_to(PARAMETERS)
    if name == "brisque" and BRISQUE is not None:
        brisque.write(BRISQUE, folder)
    return load_prior(f"pyiqa:{name}", WeightStore((folder,)))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("brisque", marks=needs_brisque),
        "entropy",
        pytest.param("niqe", marks=needs_niqe),
        "piqe",
    ],
)
def test_the_published_scores(name: str, tmp_path: Path) -> None:
    import pyiqa

    prior = with_real_parameters(name, tmp_path)
    images = Path(pyiqa.__file__).resolve().parent.parent / "ResultsCalibra" / "dist_dir"
    files = sorted(images.glob("I*.bmp"))
    assert len(files) == 5
    scores = []
    for file in files:
        with Image.open(file) as image:
            image.convert("RGB").save(tmp_path / "a.png")
        with torch.no_grad():
            scores.append(float(prior.score(pixels(tmp_path / "a.png"))))
    assert scores == pytest.approx(PUBLISHED[name], abs=1e-2)


@with_parameters
def test_statistics_with_their_real_parameters_can_be_climbed(name: str, tmp_path: Path) -> None:
    prior = with_real_parameters(name, tmp_path)
    assert not prior.info.higher_better
    assert not prior.info.commercial_use
    image = photograph(1, 192).float()
    check_gradient(prior, image)
    with torch.no_grad():
        assert 0 <= float(prior(image)) <= 100


def test_a_metric_without_gradient_is_refused_by_the_gate() -> None:
    with pytest.raises(ValueError, match=r"pyiqa:piqe.*gradient"):
        check_gradient(load_prior("pyiqa:piqe"), photograph(1, 128).float())


def test_unknown_full_reference_and_excluded_metrics() -> None:
    for name, words in (("no_such", "no no-reference metric"), ("lpips", "no no-reference metric"), ("fid", "sets")):
        with pytest.raises(ValueError, match=f"pyiqa:{name}.*{words}"):
            load_prior(f"pyiqa:{name}")


def test_the_catalogue_is_pyiqas() -> None:
    """Every no-reference metric of the installed version, in its direction, with a measured status."""
    with process_state_kept():
        import pyiqa
        from pyiqa.default_model_configs import DEFAULT_CONFIGS
    assert set(METRICS) == set(pyiqa.list_models(metric_mode="NR"))
    assert pyiqa.__version__ == catalogue.PYIQA
    wrong = {name: DEFAULT_CONFIGS[name].get("lower_better", False) for name in METRICS}
    assert {name: not metric.higher_better for name, metric in METRICS.items()} == wrong
    measured = catalogue.measured()
    assert set(measured) == set(METRICS)
    for name, found in measured.items():
        assert bool(METRICS[name].excluded) <= (not found.usable), name
        assert not found.usable or found.min_size, name


def test_the_page_is_that_of_the_catalogue() -> None:
    written = (ROOT / "docs" / "priors.md").read_text(encoding="utf-8")
    assert written == markdown(catalogue.measured()), (
        "run python -m dmap measure-priors --page-only --page docs/priors.md"
    )


def test_every_metric_has_its_authors_licence_and_pyiqas() -> None:
    """The longest matching family counts; a family that no metric belongs to is out of date."""
    assert {family for name in METRICS for family in _FAMILIES if name.startswith(family)} == set(_FAMILIES)
    for name in METRICS:
        licence, repository = catalogue.licence_of(name)
        assert licence != catalogue.UNKNOWN or repository or name == "sfid", name
        assert not repository or repository.startswith("github.com/"), name
    assert catalogue.licence_of("fid_dinov2")[0] != catalogue.licence_of("fid")[0]
    licence = PyiqaPrior("arniqa", RandomFiles()).info.licence
    assert "PolyForm Noncommercial" in licence
    assert "CC BY-NC 4.0" in licence


@pytest.mark.parametrize("name", ["cnniqa", "brisque", "piqe", "entropy", "fid"])
def test_the_measurement_can_be_repeated(name: str) -> None:
    kept, found = catalogue.measured()[name], measure(METRICS[name], {})
    assert (found.status, found.parameters, found.min_size, found.files) == (
        kept.status, kept.parameters, kept.min_size, kept.files,
    )  # fmt: skip


def test_usable_metrics_are_offered_those_with_weights_first(folder: Path) -> None:
    assert prior_names(WeightStore((folder,)))[0] == "dmap_quality"
    torch.save(cnniqa_weights(), folder / CNNIQA)
    names = prior_names(WeightStore((folder,)))
    assert names[len(PRIORS)] == "pyiqa:cnniqa"
    assert {"pyiqa:liqe", "pyiqa:liqe_mix", "pyiqa:musiq", "pyiqa:clipiqa", "pyiqa:clipiqa+", "pyiqa:unique"} < set(
        names
    )
    assert {"pyiqa:hyperiqa", "pyiqa:paq2piq", "pyiqa:dbcnn", "pyiqa:tres", "pyiqa:maniqa", "pyiqa:topiq_nr"} < set(
        names
    )
    assert {"pyiqa:nima", "pyiqa:niqe", "pyiqa:brisque"} < set(names)
    assert "pyiqa:piqe" not in names
    assert len(names) == len(set(names))


def test_networks_kept_in_lists_are_found(folder: Path) -> None:
    """CLIP-IQA hides CLIP in a list: memory management must see it, and move it."""
    prior = PyiqaPrior("clipiqa", RandomFiles())
    assert sum(p.numel() for p in prior.parameters()) > 100_000_000
    assert not any(p.requires_grad for p in prior.parameters())


def test_a_backbone_without_weights_is_noticed() -> None:
    filled, backbone = Filled(), nn.Linear(2, 2)
    filled.skipped.append(backbone)
    with pytest.raises(ValueError, match=r"0\.weight and 1 other"):
        filled.check(nn.Sequential(backbone, nn.Linear(2, 2)))
    with files_from(StoredFiles(NOWHERE)) as filled:
        backbone.load_state_dict(Nothing())
        backbone.load_state_dict(nn.Linear(2, 2).state_dict())
    filled.check(nn.Sequential(backbone))


def test_a_batch_is_scored_image_by_image() -> None:
    prior, images = (
        PyiqaPrior("cnniqa", RandomFiles()),
        torch.cat([photograph(1, 64, seed=s).float() for s in range(3)]),
    )
    kept = images.clone()
    with torch.no_grad():
        assert torch.equal(prior(images), torch.cat([prior(image[None]) for image in images]))
    assert torch.equal(images, kept)


def test_side_effects_of_pyiqa_do_not_leak() -> None:
    environment, filters = dict(os.environ), list(warnings.filters)
    cudnn = torch.backends.cudnn
    flags = cudnn.benchmark, cudnn.deterministic, torch.is_grad_enabled()
    functions = torch.load, torch.save, torch.jit.load, torch.hub.load, nn.Module.load_state_dict
    with torch.no_grad():
        build("cnniqa", RandomFiles())
        assert not torch.is_grad_enabled()
    assert dict(os.environ) == environment
    assert list(warnings.filters) == filters
    assert (cudnn.benchmark, cudnn.deterministic, torch.is_grad_enabled()) == flags
    assert (torch.load, torch.save, torch.jit.load, torch.hub.load, nn.Module.load_state_dict) == functions
    for name, module in list(sys.modules.items()):
        if name.startswith("pyiqa."):
            loader = getattr(module, "load_file_from_url", None)
            assert loader is None or loader.__module__ == "pyiqa.utils.download_util", name


def test_a_fresh_process_is_left_as_it_was(tmp_path: Path) -> None:
    """Also on the first import, which changes most, and where Q-Align's code is imported; somebody's own package
    ``tests`` is still importable."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").write_text("mine = True\n")
    code = """
import json, os, random, sys, warnings
import numpy, torch
state = lambda: {
    "environment": dict(os.environ), "filters": [str(f) for f in warnings.filters], "path": list(sys.path),
    "grad": torch.is_grad_enabled(),
    "cudnn": [torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic],
    "stray": sorted({"tests", "options", "ResultsCalibra", "pkg_resources"} & set(sys.modules)),
    "drawn": [str(torch.get_rng_state().tolist()), str(numpy.random.get_state()), str(random.getstate())],
}
before = state()
from dmap.priors import load_prior
from dmap.priors.pyiqa_adapter import build
from dmap.priors.random_weights import RandomFiles
load_prior("pyiqa:piqe")
build("topiq_nr", RandomFiles())
after = state()
import tests
print(json.dumps([before, after, tests.mine]))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    before, after, mine = json.loads(result.stdout)  # nothing else was printed
    assert after == before
    assert mine


def test_the_measuring_image_is_seeded_and_a_valid_picture() -> None:
    image = synthetic_image(64)
    assert torch.equal(image, synthetic_image(64))
    assert image.shape == (1, 3, 64, 64)
    assert 0 < float(image.min()) < float(image.max()) < 1
