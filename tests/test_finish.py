"""What is done to the image of an ascent before it is handed over, and the strength of a path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dmap.image.finish import COLOURS, coarse, low_pass, return_detail, transfer_colour
from dmap.image.layout import Layout
from dmap.image.photograph import Photograph
from dmap.method.path import LatentPath
from dmap.method.schedule import Schedule
from dmap.method.solvers import SOLVERS, make_solver
from toys import TABLE, latents, network_denoiser, photograph


def moved(solver: str) -> LatentPath:
    path = make_solver(solver).invert(network_denoiser(), Schedule.from_table(TABLE, 3, 0.4), latents())
    return path.with_state(path.state + 0.3 * torch.randn(path.state.shape, dtype=path.state.dtype))


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_strength_is_exact_at_its_ends_and_monotone_between(solver: str) -> None:
    path, denoise, method = moved(solver), network_denoiser(), make_solver(solver)
    begin, end = (method.sample(denoise, path.at(strength)) for strength in (0.0, 1.0))
    assert torch.allclose(begin, path.latent, atol=1e-6)
    assert torch.equal(end, method.sample(denoise, path))
    way = [float((method.sample(denoise, path.at(s / 8)) - begin).norm()) for s in range(9)]
    assert way == sorted(way)
    with pytest.raises(ValueError, match="strength"):
        path.at(1.5)


def test_the_start_survives_a_second_ascent_and_a_file(tmp_path: Path) -> None:
    path = moved("residual_ddim")
    again = path.with_state(path.state * 1.1)
    assert torch.equal(again.at(0.0).state, path.at(0.0).state)
    layout = Layout(31, 45, 64, 16)
    file = tmp_path / "a.safetensors"
    LatentPath(**{**again.__dict__, "layout": layout}).save(file)
    loaded = LatentPath.load(file)
    assert loaded.layout == layout
    assert torch.equal(loaded.at(0.5).state, again.at(0.5).state)
    assert torch.equal(again.image(1).at(0.0).state, again.at(0.0).state[:, 1:])


def test_a_damaged_layout_is_named(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    file = tmp_path / "a.safetensors"
    moved("edict").save(file)
    with safe_open(file, framework="pt") as reader:
        tensors, meta = {key: reader.get_tensor(key) for key in reader.keys()}, reader.metadata()  # noqa: SIM118
    save_file(tensors, file, metadata={**meta, "layout": '{"tile": 3}'})
    with pytest.raises(ValueError, match=r"a\.safetensors.*layout"):
        LatentPath.load(file)
    save_file({**tensors, "start": tensors["start"][:1]}, file, metadata=meta)
    with pytest.raises(ValueError, match="shapes"):
        LatentPath.load(file)


@pytest.mark.parametrize("method", COLOURS)
def test_colour_comes_from_the_photograph_and_detail_from_the_image(method: str) -> None:
    y = photograph(1, 128)
    image = y + 0.05 * torch.tensor([1.0, -1.0, 0.5], dtype=y.dtype).reshape(1, 3, 1, 1)
    image[..., ::2] += 0.01
    result = transfer_colour(image, y, method)
    cast = float((result - y).mean(dim=(2, 3)).abs().max())
    assert (cast < 1e-6) == (method != "off")
    added = (result - image)[..., 40:88, 40:88]  # away from the border, where stripes are repeated outwards
    assert float((added - added.mean(dim=(2, 3), keepdim=True)).abs().max()) < 1e-3
    assert torch.allclose(transfer_colour(y, y, method), y)


@pytest.mark.parametrize("method", ["low_pass", "wavelet"])
def test_a_scratch_has_no_colour_to_give(method: str) -> None:
    y, known = photograph(1, 96), torch.ones(1, 1, 96, 96, dtype=torch.float64)
    known[..., 40:46] = 0
    scratched = torch.where(known > 0, y, 1.0)
    assert torch.allclose(transfer_colour(y, scratched, method, known), y)
    assert float((transfer_colour(y, scratched, method) - y).abs().max()) > 0.01
    cast = transfer_colour(y + 0.1, scratched, method, known)
    assert torch.allclose(cast, y, atol=1e-6)


@pytest.mark.parametrize("filter_", [low_pass, coarse])
def test_low_passes_keep_constants_and_forget_detail(filter_: object) -> None:
    flat = torch.full((1, 3, 40, 70), 0.3, dtype=torch.float64)
    assert torch.allclose(filter_(flat), flat)  # type: ignore[operator]
    stripes = torch.ones(1, 3, 96, 96, dtype=torch.float64)
    stripes[..., ::2] = 0
    assert float((filter_(stripes)[..., 40:56, 40:56] - 0.5).abs().max()) < 0.01  # type: ignore[operator]


def test_all_lost_detail_makes_the_round_trip_the_photograph() -> None:
    y, trip = photograph(2, 32), photograph(2, 32, seed=9)
    missing = Photograph(y).residual(trip)
    assert torch.allclose(return_detail(trip, missing, 1.0), y)
    assert torch.equal(return_detail(trip, missing, 0.0), trip)
    mask = torch.zeros(1, 1, 32, 32, dtype=y.dtype)
    mask[..., :16] = 1
    half = return_detail(trip, missing, 1.0, mask)
    assert torch.equal(half[..., 16:], trip[..., 16:])
    assert torch.allclose(half[..., :16], y[..., :16])


def test_the_original_is_kept_bit_by_bit_outside_the_mask_with_its_alpha() -> None:
    original = 1.2 * torch.rand(1, 4, 20, 20) - 0.1
    image, mask = torch.rand(1, 3, 20, 20), torch.zeros(1, 1, 20, 20)
    mask[..., 5:10] = 0.5
    photograph = Photograph.of(original)
    result = replace(photograph, mask=mask).composite(image)
    assert torch.equal(result[..., 10:], original[..., 10:])
    assert torch.equal(result[:, 3], original[:, 3])
    assert torch.allclose(result[:, :3, :, 5:10], (original[:, :3, :, 5:10] + image[..., 5:10]) / 2)
    assert Photograph.of(original[:, :3]).composite(image).shape == (1, 3, 20, 20)


def test_bad_values_are_named() -> None:
    y = photograph(1, 16)
    with pytest.raises(ValueError, match="colour"):
        transfer_colour(y, y, "histogram")
    with pytest.raises(ValueError, match="detail"):
        return_detail(y, y, 2.0)
