"""Paths on disk."""

from pathlib import Path as FilePath

import pytest
import torch
from safetensors.torch import save_file

from dmap import tensorfile
from dmap.method.path import Path
from dmap.method.schedule import Schedule
from dmap.method.solvers import SOLVERS, make_solver
from toys import TABLE, latents, network_denoiser


@pytest.fixture(params=list(SOLVERS))
def path(request: pytest.FixtureRequest) -> Path:
    return make_solver(request.param).invert(network_denoiser(), Schedule.from_table(TABLE, 3, 0.4), latents())


def test_save_and_load(path: Path, tmp_path: FilePath) -> None:
    file = tmp_path / "a.safetensors"
    path.save(file)
    loaded = Path.load(file)
    assert loaded.solver == path.solver
    assert loaded.settings == path.settings
    assert torch.equal(loaded.schedule.sigmas, path.schedule.sigmas)
    assert torch.equal(loaded.state, path.state)
    solver, denoise = make_solver(path.solver), network_denoiser()
    assert torch.equal(solver.sample(denoise, loaded), solver.sample(denoise, path))
    assert [f.name for f in tmp_path.iterdir()] == ["a.safetensors"]


def test_to_moves_everything(path: Path) -> None:
    moved = path.to("meta", torch.float32)
    assert moved.state.device.type == moved.latent.device.type == moved.scale.device.type == "meta"
    assert moved.state.dtype is torch.float32
    assert moved.residuals is None or moved.residuals.device.type == "meta"


def test_damaged_files(path: Path, tmp_path: FilePath) -> None:
    file = tmp_path / "a.safetensors"
    path.save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.safetensors.*cannot be read"):
        Path.load(file)
    with pytest.raises(ValueError, match=r"missing\.safetensors"):
        Path.load(tmp_path / "missing.safetensors")


def test_foreign_files(path: Path, tmp_path: FilePath) -> None:
    file = tmp_path / "b.safetensors"
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="not a path"):
        Path.load(file)
    save_file({"x": torch.zeros(1)}, file, metadata={"format": "dmap-path", "version": "99"})
    with pytest.raises(ValueError, match="version 99"):
        Path.load(file)
    save_file({"state": path.state}, file, metadata={"format": "dmap-path", "version": "1"})
    with pytest.raises(ValueError, match="missing"):
        Path.load(file)


def test_tensors_that_do_not_fit(path: Path, tmp_path: FilePath) -> None:
    from dataclasses import replace

    file = tmp_path / "c.safetensors"
    replace(path, scale=path.scale[:1]).save(file)
    with pytest.raises(ValueError, match="shapes"):
        Path.load(file)
    replace(path, state=path.state * float("nan")).save(file)
    with pytest.raises(ValueError, match="not finite"):
        Path.load(file)
    with pytest.raises(ValueError, match="state"):
        path.with_state(path.state[:, :1])


def test_what_is_kept_beside_a_path(path: Path, tmp_path: FilePath) -> None:
    """It comes back as it was, and a reader of the path alone does not mind it."""
    file, photograph = tmp_path / "a.safetensors", torch.rand(2, 3, 9, 7)
    path.save(file, {"photograph": photograph})
    loaded, beside = Path.load_with(file)
    assert torch.equal(loaded.state, path.state)
    assert list(beside) == ["photograph"]
    assert torch.equal(beside["photograph"], photograph)
    assert torch.equal(Path.load(file).latent, path.latent)


@pytest.mark.parametrize("settings", ["not json", "[1]", '{"mixing": "much"}'])
def test_damaged_settings_are_named(path: Path, tmp_path: FilePath, settings: str) -> None:
    file = tmp_path / "a.safetensors"
    path.save(file)
    tensors, meta = tensorfile.read(file, "path file", "save it again")
    tensorfile.write(file, tensors, {**meta, "settings": settings})
    with pytest.raises(ValueError, match=r"a\.safetensors: its settings .* not valid"):
        Path.load(file)
