"""Stable Diffusion without a host: models of the diffusers library, and single-file checkpoints through it.

The second implementation beside the host's: tests hold both against one another. diffusers (and transformers for the
text encoder) are imported only here, when they are used; nothing is ever downloaded.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import tensorfile
from ..errors import UserError
from ..method.denoiser import from_network
from ..method.schedule import scaled_linear_betas, sigmas_from_betas
from . import empty_text
from .diffusion import LatentDiffusion
from .empty_text import Conditioning, TextEncoder

Config = Mapping[str, Any]

_VAE: Config = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
_SD1: Config = {
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
}
_SD2: Config = {
    **_SD1,
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
_SDXL: Config = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@dataclass(frozen=True)
class Architecture:
    """Configurations of a kind of checkpoint, in diffusers' words, and its text encoders."""

    unet: Config
    vae: Config
    texts: tuple[TextEncoder, ...]


ARCHITECTURES: dict[int, Architecture] = {
    768: Architecture(_SD1, _VAE, empty_text.SD1),
    1024: Architecture(_SD2, _VAE, empty_text.SD2),
    2048: Architecture(_SDXL, {**_VAE, "scaling_factor": 0.13025}, empty_text.SDXL),
}
"""By the width of the text conditioning: Stable Diffusion 1.x, 2.x, XL."""

CONTEXT_KEY = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"


def from_diffusers(
    unet: Any, vae: Any, conditioning: Conditioning, prediction: str = "eps", table: Tensor | None = None
) -> LatentDiffusion:
    """The method's view of a diffusers U-Net (``UNet2DConditionModel``) and autoencoder (``AutoencoderKL``).

    Args:
        unet, vae: on one device; they are frozen and put into eval mode.
        conditioning: of the empty text as a rule; guidance is 1.
        prediction: "eps" or "v".
        table: (T,) increasing noise levels; Stable Diffusion's by default.

    Raises:
        UserError: if an XL model gets no pooled text.
    """
    unet, vae = unet.eval().requires_grad_(False), vae.eval().requires_grad_(False)
    pooled = conditioning.pooled
    if unet.config.addition_embed_type == "text_time" and pooled is None:
        raise UserError("conditioning: models of the XL kind need the pooled text as well")
    levels = sigmas_from_betas(scaled_linear_betas()).float() if table is None else table
    ratio, scaling = 2 ** (len(vae.config.block_out_channels) - 1), float(vae.config.scaling_factor)

    def network(x: Tensor, timesteps: Tensor) -> Tensor:
        batch = len(x)
        added = None
        if pooled is not None:
            height, width = (side * ratio for side in x.shape[-2:])
            sizes = torch.tensor([[height, width, 0, 0, height, width]], device=x.device, dtype=x.dtype)
            added = {"text_embeds": pooled.to(x).expand(batch, -1), "time_ids": sizes.expand(batch, -1)}
        context = conditioning.context.to(x).expand(batch, -1, -1)
        out: Tensor = unet(x, timesteps, encoder_hidden_states=context, added_cond_kwargs=added).sample
        return out

    def encode(image: Tensor) -> Tensor:
        # The mode of the posterior: nothing in the chain is random.
        latent: Tensor = vae.encode((image * 2 - 1).to(vae.dtype)).latent_dist.mode().float()
        return latent * scaling

    def decode(latent: Tensor) -> Tensor:
        image: Tensor = vae.decode((latent / scaling).to(vae.dtype)).sample.float()
        return (image + 1) / 2

    multiple = ratio * 2 ** (len(unet.config.block_out_channels) - 1)
    denoise = from_network(network, prediction, levels, unet.dtype)
    return LatentDiffusion(denoise, encode, decode, levels, multiple, vae.device, vae, (unet, vae))


def load_single_file(
    file: str | os.PathLike[str],
    conditioning: Conditioning | None = None,
    dtype: torch.dtype = torch.float32,
    architecture: Architecture | None = None,
) -> tuple[Any, Any, Conditioning]:
    """U-Net, autoencoder and conditioning, for ``from_diffusers``, of a checkpoint as users have it: one file.

    Args:
        file: the checkpoint, safetensors.
        conditioning: by default the file's own text encoders read the empty text.
        dtype: of the networks.
        architecture: found by the width of the text conditioning if none is given.

    Raises:
        UserError: if diffusers is missing, the file cannot be read, is of no known kind, or lacks a part.
    """
    try:
        from diffusers import AutoencoderKL, UNet2DConditionModel
    except ImportError as error:
        raise UserError("--checkpoint needs the diffusers library: pip install diffusers transformers") from error
    tensors, _ = tensorfile.read(file, "checkpoint", "choose a Stable Diffusion checkpoint as safetensors")
    name = Path(file).name
    if CONTEXT_KEY not in tensors:
        raise UserError(f"checkpoint {name}: it holds no U-Net of Stable Diffusion 1.x, 2.x or XL; choose another")
    width = tensors[CONTEXT_KEY].shape[1]
    if architecture is None and width not in ARCHITECTURES:
        raise UserError(f"checkpoint {name}: text conditioning of width {width} is of no known Stable Diffusion")
    kind = architecture or ARCHITECTURES[width]
    unet = _component(UNet2DConditionModel, tensors, kind.unet, "model.diffusion_model.", name, dtype)
    vae = _component(AutoencoderKL, tensors, kind.vae, "first_stage_model.", name, dtype)
    if conditioning is None:
        conditioning = empty_text.read(tensors, kind.texts, name)
    return unet, vae, conditioning


def _component(cls: Any, tensors: dict[str, Tensor], config: Config, prefix: str, name: str, dtype: torch.dtype) -> Any:
    part = {key: value for key, value in tensors.items() if key.startswith(prefix)}
    if not part:
        raise UserError(f"checkpoint {name}: it lacks {prefix}*; choose a complete checkpoint")
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps({"_class_name": cls.__name__, **config})
        Path(folder, "config.json").write_text(text, encoding="utf-8")
        try:
            return cls.from_single_file(
                part, config=folder, local_files_only=True, torch_dtype=dtype, low_cpu_mem_usage=False
            )
        except (RuntimeError, KeyError, OSError) as error:
            raise UserError(f"checkpoint {name}: {prefix}* does not fit a {cls.__name__}: {error}") from error
