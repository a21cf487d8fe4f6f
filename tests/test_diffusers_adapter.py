"""Models of the diffusers library behind the method's interface; tests/host holds them against the host's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dmap import tensorfile
from dmap.method.chain import Chain
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver, round_trip_error
from dmap.models.diffusers_adapter import CONTEXT_KEY, from_diffusers, load_single_file
from dmap.models.diffusion import LatentDiffusion
from dmap.models.empty_text import Conditioning

CONTEXT = torch.randn(1, 7, 16, generator=torch.Generator().manual_seed(0))
POOLED = torch.randn(1, 8, generator=torch.Generator().manual_seed(1))


def networks(xl: bool, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    torch.manual_seed(0)
    extra = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 8 + 6 * 8,
    }
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,
        cross_attention_dim=16,
        **(extra if xl else {}),
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
    )
    return unet.to(dtype), vae.to(dtype)


def model(xl: bool, dtype: torch.dtype = torch.float32) -> LatentDiffusion:
    return from_diffusers(*networks(xl, dtype), Conditioning(CONTEXT, POOLED if xl else None), "eps")


@pytest.mark.parametrize("xl", [False, True])
def test_round_trip_and_gradient(xl: bool) -> None:
    """Invert, decode, and compare the gradient with a finite difference, in float64."""
    diffusion = model(xl, torch.float64)
    latent = diffusion.encode(torch.rand(2, 3, 32, 32, dtype=torch.float64)).double()
    assert latent.shape == (2, 4, 16, 16)
    solver = make_solver("residual_ddim")
    with torch.no_grad():
        path = solver.invert(diffusion.denoise, Schedule.from_table(diffusion.table, 2, 0.4), latent)
    assert float(round_trip_error(solver, diffusion.denoise, path).max()) < 1e-6
    # The autoencoder's ends are float32, so that the gradient is checked up to the clean latent.
    chain = Chain(path, diffusion.denoise, lambda clean: clean.sin())
    z = chain.start().requires_grad_(True)
    (gradient,) = torch.autograd.grad(chain(z).sum(), z)
    direction = torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ahead, behind = (chain(z + step * direction).sum() for step in (1e-5, -1e-5))
    assert float((gradient * direction).sum()) == pytest.approx(float((ahead - behind) / 2e-5), rel=1e-4)


def test_images_of_a_batch_do_not_see_one_another_and_size_matters_to_xl() -> None:
    diffusion = model(xl=True)
    u, sigma = torch.randn(2, 4, 8, 8), torch.tensor(1.0)
    with torch.no_grad():
        both = diffusion.denoise(u, sigma)
        alone = diffusion.denoise(u[:1], sigma)
    assert torch.allclose(both[:1], alone, atol=1e-5)


def test_the_networks_dtype_stays_inside() -> None:
    diffusion = model(xl=False, dtype=torch.bfloat16)
    with torch.no_grad():
        latent = diffusion.encode(torch.rand(1, 3, 32, 32))
        assert latent.dtype == torch.float32
        assert diffusion.decode(latent).dtype == torch.float32
        assert diffusion.denoise(latent, torch.tensor(1.0)).dtype == torch.float32


def test_bad_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need the pooled text"):
        from_diffusers(*networks(xl=True), Conditioning(CONTEXT))
    file = tmp_path / "model.safetensors"
    with pytest.raises(ValueError, match=r"checkpoint model\.safetensors: it cannot be read"):
        load_single_file(file)
    tensorfile.write(file, {"a": torch.zeros(2)}, {})
    with pytest.raises(ValueError, match="holds no U-Net"):
        load_single_file(file)
    tensorfile.write(file, {CONTEXT_KEY: torch.zeros(4, 99)}, {})
    with pytest.raises(ValueError, match="width 99"):
        load_single_file(file)


def test_diffusers_is_imported_only_when_it_is_used() -> None:
    code = (
        "import sys, dmap.cli, dmap.models.diffusers_adapter; "
        "print('diffusers' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
