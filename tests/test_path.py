"""Paths on disk."""

from pathlib import Path as FilePath

import pytest
import torch
from safetensors.torch import save_file

from dmap.path import Path
from dmap.schedule import Schedule
from dmap.solvers import SOLVERS, make_solver
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
