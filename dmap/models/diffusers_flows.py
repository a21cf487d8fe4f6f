"""Flow models without a host: Stable Diffusion 3 and 3.5, Flux.1 and Z-Image of the diffusers library.

A folder as ``save_pretrained`` writes it is read whole, its own text encoders with it; nothing is ever downloaded.
diffusers is imported only here, when it is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..method.denoiser import Network, from_network
from ..method.schedule import flow_table
from .diffusion import LatentDiffusion
from .empty_text import Conditioning

PATCH, GUIDANCE = 2, 3.5
"""Latent positions a token's side; what Flux networks with a guidance embedding are told."""
SD3, OPTIONAL = "StableDiffusion3Pipeline", ("text_encoder_3", "tokenizer_3")
"""Of diffusers' pipelines, and what that one does without: it is large, and the other two have read the text."""


def _sd3(transformer: Any, conditioning: Conditioning) -> Network:
    most = PATCH * int(transformer.config.pos_embed_max_size)

    def network(x: Tensor, timesteps: Tensor) -> Tensor:
        if max(x.shape[-2:]) > most:
            raise UserError(f"checkpoint: it knows at most {most} latent positions a side; use tiles")
        context, pooled = _expanded(conditioning, x)
        out: Tensor = transformer(
            hidden_states=x, timestep=timesteps, encoder_hidden_states=context, pooled_projections=pooled
        ).sample
        return out

    return network


def _flux(transformer: Any, conditioning: Conditioning) -> Network:
    def network(x: Tensor, timesteps: Tensor) -> Tensor:
        context, pooled = _expanded(conditioning, x)
        height, width = (side // PATCH for side in x.shape[-2:])
        places = torch.zeros(height, width, 3, device=x.device, dtype=x.dtype)
        places[..., 1] += torch.arange(height, device=x.device)[:, None]
        places[..., 2] += torch.arange(width, device=x.device)
        guidance = torch.full_like(timesteps, GUIDANCE) if transformer.config.guidance_embeds else None
        tokens = torch.nn.functional.pixel_unshuffle(x, PATCH).flatten(2).movedim(1, 2)
        out = transformer(
            hidden_states=tokens,
            timestep=timesteps / 1000,
            guidance=guidance,
            pooled_projections=pooled,
            encoder_hidden_states=context,
            txt_ids=torch.zeros(context.shape[1], 3, device=x.device, dtype=x.dtype),
            img_ids=places.flatten(0, 1),
        ).sample
        return torch.nn.functional.pixel_shuffle(out.movedim(1, 2).unflatten(2, (height, width)), PATCH)

    return network


def _zimage(transformer: Any, conditioning: Conditioning) -> Network:
    def network(x: Tensor, timesteps: Tensor) -> Tensor:
        context, _ = _expanded(conditioning, x)
        # Its time goes from noise to image, and so does its velocity.
        out = transformer(list(x.unsqueeze(2).unbind(0)), 1 - timesteps / 1000, list(context.unbind(0))).sample
        return -torch.stack(list(out), dim=0).squeeze(2)

    return network


def _expanded(conditioning: Conditioning, x: Tensor) -> tuple[Tensor, Tensor | None]:
    pooled = None if conditioning.pooled is None else conditioning.pooled.to(x).expand(len(x), -1)
    return conditioning.context.to(x).expand(len(x), -1, -1), pooled


NETWORKS: dict[str, Callable[[Any, Conditioning], Network]] = {
    "SD3Transformer2DModel": _sd3,
    "FluxTransformer2DModel": _flux,
    "ZImageTransformer2DModel": _zimage,
}
"""By diffusers' class: its network as the velocity n - x0 of x = (1 - s) x0 + s n at 1000 s."""


def from_flow(transformer: Any, vae: Any, conditioning: Conditioning) -> LatentDiffusion:
    """The method's view of a diffusers transformer (a class of ``NETWORKS``) and autoencoder (``AutoencoderKL``).

    Args:
        transformer, vae: on one device; they are frozen and put into eval mode.
        conditioning: of the empty text as a rule; guidance is 1, Flux' guidance embedding ``GUIDANCE``.

    Raises:
        UserError: if the transformer is of another class, or lacks the pooled text that it needs.
    """
    kind = type(transformer).__name__
    if kind not in NETWORKS:
        raise UserError(f"checkpoint: {kind} is not supported; choose a model with one of {', '.join(NETWORKS)}")
    if kind != "ZImageTransformer2DModel" and conditioning.pooled is None:
        raise UserError(f"conditioning: {kind} needs the pooled text as well")
    transformer, vae = transformer.eval().requires_grad_(False), vae.eval().requires_grad_(False)
    scaling, shift = float(vae.config.scaling_factor), float(vae.config.shift_factor or 0.0)
    ratio = 2 ** (len(vae.config.block_out_channels) - 1)

    def encode(image: Tensor) -> Tensor:
        # The mode of the posterior: nothing in the chain is random.
        latent: Tensor = vae.encode((image * 2 - 1).to(vae.dtype)).latent_dist.mode().float()
        return (latent - shift) * scaling

    def decode(latent: Tensor) -> Tensor:
        image: Tensor = vae.decode((latent / scaling + shift).to(vae.dtype)).sample.float()
        return (image + 1) / 2

    denoise = from_network(NETWORKS[kind](transformer, conditioning), "flow", dtype=transformer.dtype)
    modules = (transformer, vae)
    return LatentDiffusion(
        denoise, encode, decode, flow_table(), PATCH * ratio, vae.device, vae, modules, None, True, transformer
    )


def load_folder(
    folder: str | os.PathLike[str], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> LatentDiffusion:
    """A flow model of a folder in diffusers' form, with what its own text encoders make of the empty text.

    Args:
        folder: with model_index.json, as ``save_pretrained`` writes it.
        device, dtype: of the networks.

    Raises:
        UserError: if diffusers is missing, or the folder is no complete model of a known class.
    """
    try:
        from diffusers import DiffusionPipeline
    except ImportError as error:
        raise UserError("--checkpoint needs the diffusers library: pip install diffusers transformers") from error
    name = Path(folder).name
    if not Path(folder, "model_index.json").is_file():
        raise UserError(f"checkpoint {name}: a folder needs model_index.json, as diffusers' save_pretrained writes it")
    try:
        index = json.loads(Path(folder, "model_index.json").read_text(encoding="utf-8"))
        named = OPTIONAL if index.get("_class_name") == SD3 else ()
        left_out = {name: None for name in named if index.get(name) in (None, [None, None])}
        classes: Any = DiffusionPipeline
        pipeline = classes.from_pretrained(folder, local_files_only=True, torch_dtype=dtype, **left_out)
        with torch.no_grad():
            conditioning = _empty_text(pipeline)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"checkpoint {name}: diffusers cannot read it: {error}") from error
    return from_flow(pipeline.transformer.to(device), pipeline.vae.to(device), conditioning)


def _empty_text(pipeline: Any) -> Conditioning:
    kind = type(pipeline).__name__
    if kind == SD3:
        context, _, pooled, _ = pipeline.encode_prompt("", "", "", do_classifier_free_guidance=False)
        return Conditioning(context, pooled)
    if kind == "FluxPipeline":
        context, pooled, _ = pipeline.encode_prompt("", "")
        return Conditioning(context, pooled)
    if kind == "ZImagePipeline":
        context, _ = pipeline.encode_prompt("", do_classifier_free_guidance=False)
        return Conditioning(context[0][None])
    raise ValueError(f"{kind} is not supported; StableDiffusion3Pipeline, FluxPipeline and ZImagePipeline are")
