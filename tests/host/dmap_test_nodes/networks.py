"""Networks of the host's own classes, small and random: Stable Diffusion 1.x, 2.x and XL, autoencoder, text."""

from __future__ import annotations

import math
from typing import Any

import comfy.sd1_clip
import comfy.supported_models
import torch

WIDTH, CONTEXT = 32, 64
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": WIDTH,
    "num_res_blocks": [1, 1],
    "channel_mult": (1, 2),
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": CONTEXT,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "adm_in_channels": None,
    "legacy": False,
    "use_temporal_attention": False,
}
VAE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 64,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}
TEXT = {
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "hidden_size": CONTEXT,
    "intermediate_size": 128,
    "hidden_act": "quick_gelu",
    "max_position_embeddings": 77,
    "eos_token_id": 49407,
    "vocab_size": 49408,
    "layer_norm_eps": 1e-5,
    "projection_dim": CONTEXT,
    "num_positions": 77,
}


class TinyConfig(comfy.supported_models.SD15):
    """Stable Diffusion 1.5 at a tenth of its width."""

    unet_config = {
        "context_dim": CONTEXT,
        "model_channels": WIDTH,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
        "use_temporal_attention": False,
    }


SD2 = {"context_dim": 96, "use_linear_in_transformer": True, "num_head_channels": 32}
SDXL = {**SD2, "transformer_depth": [0, 1], "transformer_depth_output": [0, 0, 1, 1]}
SDXL |= {"adm_in_channels": 2816, "num_classes": "sequential"}


class TinySD2(comfy.supported_models.SD20):
    """Stable Diffusion 2 at a tenth of its width."""

    unet_config = {**TinyConfig.unet_config, **SD2}
    unet_extra_config = {**comfy.supported_models.SD20.unet_extra_config, "num_head_channels": 32}


class TinySDXL(comfy.supported_models.SDXL):
    """Stable Diffusion XL at a tenth of its width, with its full size conditioning."""

    unet_config = {**TinyConfig.unet_config, **SD2, "adm_in_channels": 2816}


class TinyText(comfy.sd1_clip.SDClipModel):
    """The text encoder of that size."""

    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
        super().__init__(
            device=device, dtype=dtype, layer="last", textmodel_json_config=TEXT, model_options=model_options or {}
        )


class TinyClip(comfy.sd1_clip.SD1ClipModel):
    """The host's wrapper of it."""

    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Any = None, **_: Any) -> None:
        super().__init__(device=device, dtype=dtype, model_options=model_options or {}, clip_model=TinyText)


class TinyTokenizer(comfy.sd1_clip.SD1Tokenizer):
    """The ordinary tokenizer."""

    def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
        super().__init__(embedding_directory=embedding_directory, tokenizer_data=tokenizer_data or {})
        self.clip_l.embedding_size = CONTEXT


@torch.no_grad()
def randomise(module: torch.nn.Module, seed: int) -> None:
    """Weights that keep activations near unit scale."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            parameter.copy_(0.02 * noise)
        elif parameter.ndim == 1:
            parameter.copy_(1 + 0.05 * noise)
        else:
            parameter.copy_(noise / math.sqrt(math.prod(parameter.shape[1:])))


BRANCH_ENDS = ("out_layers.3.weight", "to_out.0.weight", "ff.net.2.weight", "proj_out.weight", "conv2.weight")


@torch.no_grad()
def calm(module: torch.nn.Module) -> None:
    """Smaller ends of residual branches, so that float32's rounding does not grow from layer to layer."""
    for name, parameter in module.named_parameters():
        if name.endswith(BRANCH_ENDS):
            parameter.mul_(0.3)
