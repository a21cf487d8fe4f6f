"""Paths on disk."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dmap import tensorfile
from dmap.errors import UserError
from dmap.image.photograph import Photograph
from dmap.method.path import LatentPath
from dmap.method.schedule import Schedule
from dmap.method.solvers import SOLVERS, make_solver
from toys import TABLE, latents, network_denoiser


@pytest.fixture(params=list(SOLVERS))
def path(request: pytest.FixtureRequest) -> LatentPath:
    return make_solver(request.param).invert(network_denoiser(), Schedule.from_table(TABLE, 3, 0.4), latents())


def test_save_and_load(path: LatentPath, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    path.save(file)
    loaded = LatentPath.load(file)
    assert loaded.solver == path.solver
    assert loaded.settings == path.settings
    assert torch.equal(loaded.schedule.sigmas, path.schedule.sigmas)
    assert torch.equal(loaded.state, path.state)
    solver, denoise = make_solver(path.solver), network_denoiser()
    assert torch.equal(solver.sample(denoise, loaded), solver.sample(denoise, path))
    assert [f.name for f in tmp_path.iterdir()] == ["a.safetensors"]


def test_to_moves_everything(path: LatentPath) -> None:
    moved = path.to("meta", torch.float32)
    assert moved.state.device.type == moved.latent.device.type == moved.scale.device.type == "meta"
    assert moved.state.dtype is torch.float32
    assert moved.residuals is None or moved.residuals.device.type == "meta"


def test_damaged_files(path: LatentPath, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    path.save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.safetensors.*cannot be read"):
        LatentPath.load(file)
    with pytest.raises(ValueError, match=r"missing\.safetensors"):
        LatentPath.load(tmp_path / "missing.safetensors")


def test_foreign_files(path: LatentPath, tmp_path: Path) -> None:
    file = tmp_path / "b.safetensors"
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="not a path"):
        LatentPath.load(file)
    save_file({"x": torch.zeros(1)}, file, metadata={"format": "dmap-path", "version": "99"})
    with pytest.raises(ValueError, match="version 99"):
        LatentPath.load(file)
    save_file({"state": path.state}, file, metadata={"format": "dmap-path", "version": "1"})
    with pytest.raises(ValueError, match="missing"):
        LatentPath.load(file)


def test_tensors_that_do_not_fit(path: LatentPath, tmp_path: Path) -> None:
    from dataclasses import replace

    file = tmp_path / "c.safetensors"
    replace(path, scale=path.scale[:1]).save(file)
    with pytest.raises(ValueError, match="shapes"):
        LatentPath.load(file)
    replace(path, state=path.state * float("nan")).save(file)
    with pytest.raises(ValueError, match="not finite"):
        LatentPath.load(file)
    with pytest.raises(ValueError, match="state"):
        path.with_state(path.state[:, :1])


@pytest.mark.parametrize("alpha", [None, torch.rand(2, 1, 9, 7)], ids=["colour", "alpha"])
def test_the_photograph_is_kept_with_its_path(path: LatentPath, tmp_path: Path, alpha: torch.Tensor | None) -> None:
    file, pixels = tmp_path / "a.safetensors", 1.2 * torch.rand(2, 3, 9, 7) - 0.1
    photograph = Photograph(pixels, alpha, known=torch.rand(1, 1, 9, 7), mask=torch.rand(2, 1, 9, 7))
    replace(path, photograph=photograph).save(file)
    loaded = LatentPath.load(file)
    assert torch.equal(loaded.state, path.state)
    assert loaded.photograph is not None
    for name, x in vars(photograph).items():
        found = getattr(loaded.photograph, name)
        assert found is None if x is None else torch.equal(found, x)
    second = loaded.image(1).photograph
    assert second is not None
    assert torch.equal(second.pixels, pixels[1:])
    assert second.known is not None


def test_a_photograph_of_another_shape_is_named(path: LatentPath, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    replace(path, photograph=Photograph(torch.rand(2, 3, 9, 7))).save(file)
    tensors, meta = tensorfile.read(file, "path file", "save it again")
    tensorfile.write(file, {**tensors, "beside.mask": torch.rand(1, 1, 4, 4)}, meta)
    with pytest.raises(UserError, match=r"a\.safetensors: its mask: got shape \(1, 1, 4, 4\)"):
        LatentPath.load(file)


@pytest.mark.parametrize("settings", ["not json", "[1]", '{"mixing": "much"}'])
def test_damaged_settings_are_named(path: LatentPath, tmp_path: Path, settings: str) -> None:
    file = tmp_path / "a.safetensors"
    path.save(file)
    tensors, meta = tensorfile.read(file, "path file", "save it again")
    tensorfile.write(file, tensors, {**meta, "settings": settings})
    with pytest.raises(ValueError, match=r"a\.safetensors: its settings .* not valid"):
        LatentPath.load(file)
