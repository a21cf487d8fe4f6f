"""Flow models of the diffusers library behind the method's interface; tests/host holds them against the host's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dmap.cli import main
from dmap.method.chain import Chain
from dmap.method.solvers import make_solver, round_trip_error
from dmap.models.diffusers_flows import from_flow, load_folder
from dmap.models.empty_text import Conditioning


def vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        scaling_factor=1.5,
        shift_factor=0.06,
    )


def transformer(kind: str) -> Any:
    import diffusers

    torch.manual_seed(0)
    if kind == "SD3":
        return diffusers.SD3Transformer2DModel(
            sample_size=8, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=96, caption_projection_dim=32, pooled_projection_dim=64, pos_embed_max_size=32,
        )  # fmt: skip
    if kind == "Flux":
        return diffusers.FluxTransformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=96, pooled_projection_dim=64, guidance_embeds=True, axes_dims_rope=(4, 6, 6),
        )  # fmt: skip
    return diffusers.ZImageTransformer2DModel(
        in_channels=4, dim=64, n_layers=2, n_refiner_layers=1, n_heads=4, n_kv_heads=4, cap_feat_dim=96,
        axes_dims=[4, 6, 6], axes_lens=[64, 64, 64],
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["SD3", "Flux", "Z-Image"])
def test_round_trip_and_gradient(kind: str) -> None:
    """Both solvers; the gradient, by blocks as well, against a finite difference."""
    generator = torch.Generator().manual_seed(1)
    conditioning = Conditioning(
        torch.randn(1, 7, 96, generator=generator),
        None if kind == "Z-Image" else torch.randn(1, 64, generator=generator),
    )
    model = from_flow(transformer(kind), vae(), conditioning)
    assert (model.multiple, model.flow) == (4, True)
    latent = model.encode(torch.rand(2, 3, 32, 32, generator=generator))
    schedule, gradients = model.schedule(2, 0.3), []
    for solver in ("residual_ddim", "edict"):
        with torch.no_grad():
            path = make_solver(solver).invert(model.denoise, schedule, latent)
        assert float(round_trip_error(make_solver(solver), model.denoise, path).max()) < 1e-5
    path = make_solver("residual_ddim").invert(model.denoise, schedule, latent)
    for level in ("whole", "by blocks"):
        denoising = model.denoising()
        assert level == "whole" or denoising.lighter()
        chain = Chain(path, denoising, model.decode)
        z = chain.start().requires_grad_(True)
        image = chain(z)
        weights = torch.randn(image.shape, generator=torch.Generator().manual_seed(6))
        gradients.append(torch.autograd.grad((image * weights).sum(), z)[0])
    assert torch.equal(*gradients)
    direction, step = gradients[0] / gradients[0].norm(), 0.02
    with torch.no_grad():
        ahead, behind = ((chain(z + s * step * direction) * weights).double().sum() for s in (1, -1))
    assert float(ahead - behind) / (2 * step) == pytest.approx(float(gradients[0].norm()), rel=2e-3)


def folder_of(path: Path) -> Path:
    """A complete Stable Diffusion 3 in diffusers' form, tiny, with two text encoders and without the third."""
    from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    words = path / "words"
    words.mkdir(parents=True)
    (words / "vocab.json").write_text(json.dumps({"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=16)
    config = CLIPTextConfig(
        vocab_size=3, hidden_size=32, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=16, projection_dim=32, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    texts = [CLIPTextModelWithProjection(config) for _ in range(2)]
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer("SD3"), vae=vae(), scheduler=FlowMatchEulerDiscreteScheduler(), text_encoder=texts[0],
        tokenizer=tokenizer, text_encoder_2=texts[1], tokenizer_2=tokenizer, text_encoder_3=None, tokenizer_3=None,
    )  # fmt: skip
    pipeline.save_pretrained(path / "model")
    return path / "model"


def test_the_command_takes_a_folder(tmp_path: Path) -> None:
    """Its own text encoders read the empty text; nothing but the folder is needed."""
    Image.new("RGB", (100, 90), (90, 120, 60)).save(tmp_path / "in.png")
    options = ["--checkpoint", str(folder_of(tmp_path)), "--steps", "1", "--iterations", "1"]
    assert main(["restore", str(tmp_path / "in.png"), str(tmp_path / "out.png"), *options]) == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (100, 90)


def test_bad_folders_and_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model_index\.json"):
        load_folder(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
    with pytest.raises(ValueError, match="diffusers cannot read it"):
        load_folder(tmp_path)
    with pytest.raises(ValueError, match="AutoencoderKL is not supported"):
        from_flow(vae(), vae(), Conditioning(torch.zeros(1, 1, 1)))
    model = from_flow(transformer("SD3"), vae(), Conditioning(torch.zeros(1, 7, 96), torch.zeros(1, 64)))
    with pytest.raises(ValueError, match="at most 64 latent positions"):
        model.denoise(torch.zeros(1, 4, 66, 66), model.table[100])
    with pytest.raises(ValueError, match="pooled"):
        from_flow(transformer("SD3"), vae(), Conditioning(torch.zeros(1, 7, 96)))
