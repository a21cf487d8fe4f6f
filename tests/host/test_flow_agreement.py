"""The host's flow models and diffusers' agree on the same weights to 1e-4 of each tensor's size."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dmap.models.diffusers_adapter import _component
from dmap.models.diffusers_flows import from_flow
from dmap.models.diffusion import LatentDiffusion
from dmap.models.empty_text import Conditioning
from tools.host.server import Server

TOLERANCE = 1e-4
VAE = {
    "block_out_channels": [32] * 4, "down_block_types": ["DownEncoderBlock2D"] * 4, "latent_channels": 16,
    "up_block_types": ["UpDecoderBlock2D"] * 4, "layers_per_block": 1, "mid_block_add_attention": True,
}  # fmt: skip
SCALES = {"SD3.5": (1.5305, 0.0609), "Z-Image": (0.3611, 0.1159), "Flux.1 dev": (0.3611, 0.1159)}
"""Scaling factor and shift of the autoencoder's latents."""
SD3 = {
    "num_layers": 2, "attention_head_dim": 64, "num_attention_heads": 2, "joint_attention_dim": 64,
    "caption_projection_dim": 128, "pooled_projection_dim": 32, "pos_embed_max_size": 32, "sample_size": 8,
    "qk_norm": "rms_norm", "dual_attention_layers": [0],
}  # fmt: skip
ZIMAGE = {
    "dim": 384, "n_layers": 3, "n_refiner_layers": 1, "n_heads": 6, "n_kv_heads": 6, "cap_feat_dim": 64,
    "rope_theta": 256.0, "axes_dims": [16, 24, 24], "axes_lens": [64, 64, 64],
}  # fmt: skip
FLUX = {
    "num_layers": 2, "num_single_layers": 2, "attention_head_dim": 64, "num_attention_heads": 2,
    "joint_attention_dim": 64, "pooled_projection_dim": 32, "guidance_embeds": True, "axes_dims_rope": [16, 24, 24],
}  # fmt: skip
QKV = {"img_attn": ("to_q", "to_k", "to_v"), "txt_attn": ("add_q_proj", "add_k_proj", "add_v_proj")}
RENAMED = (
    (r"^img_in\.", "x_embedder."),
    (r"^txt_in\.", "context_embedder."),
    (r"^(time|vector|guidance)_in\.in_layer\.", r"time_text_embed.\1_embedder.linear_1."),
    (r"^(time|vector|guidance)_in\.out_layer\.", r"time_text_embed.\1_embedder.linear_2."),
    (r"\.time_embedder\.", ".timestep_embedder."),
    (r"\.vector_embedder\.", ".text_embedder."),
    (r"^double_blocks\.", "transformer_blocks."),
    (r"^single_blocks\.", "single_transformer_blocks."),
    (r"\.img_mod\.lin\.", ".norm1.linear."),
    (r"\.txt_mod\.lin\.", ".norm1_context.linear."),
    (r"\.img_attn\.norm\.(q|k)\w+_norm\.\w+$", r".attn.norm_\1.weight"),
    (r"\.txt_attn\.norm\.(q|k)\w+_norm\.\w+$", r".attn.norm_added_\1.weight"),
    (r"\.norm\.(q|k)\w+_norm\.\w+$", r".attn.norm_\1.weight"),
    (r"\.img_attn\.proj\.", ".attn.to_out.0."),
    (r"\.txt_attn\.proj\.", ".attn.to_add_out."),
    (r"\.img_mlp\.0\.", ".ff.net.0.proj."),
    (r"\.img_mlp\.2\.", ".ff.net.2."),
    (r"\.txt_mlp\.0\.", ".ff_context.net.0.proj."),
    (r"\.txt_mlp\.2\.", ".ff_context.net.2."),
    (r"\.linear2\.", ".proj_out."),
    (r"\.modulation\.lin\.", ".norm.linear."),
    (r"^final_layer\.linear\.", "proj_out."),
)


def flux_of_host(tensors: dict[str, Tensor]) -> Any:
    """diffusers' Flux with the host's weights; its own conversion knows one width only."""
    from diffusers import FluxTransformer2DModel

    width, weights = FLUX["attention_head_dim"] * FLUX["num_attention_heads"], {}  # type: ignore[operator]
    for key, value in tensors.items():
        if not key.startswith("model.diffusion_model."):
            continue
        key = key.removeprefix("model.diffusion_model.")
        fused = re.match(r"double_blocks\.(\d+)\.(img_attn|txt_attn)\.qkv\.(\w+)", key)
        single = re.match(r"single_blocks\.(\d+)\.linear1\.(\w+)", key)
        if fused is not None:
            for name, part in zip(QKV[fused[2]], value.chunk(3), strict=True):
                weights[f"transformer_blocks.{fused[1]}.attn.{name}.{fused[3]}"] = part
        elif single is not None:
            parts = value.split([width, width, width, 4 * width])
            for name, part in zip(("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), parts, strict=True):
                weights[f"single_transformer_blocks.{single[1]}.{name}.{single[2]}"] = part
        elif key.startswith("final_layer.adaLN"):  # scale and shift the other way round
            weights[f"norm_out.linear.{key.rpartition('.')[2]}"] = torch.cat(value.chunk(2)[::-1])
        else:
            for pattern, replacement in RENAMED:
                key = re.sub(pattern, replacement, key)
            weights[key] = value
    made = FluxTransformer2DModel(**FLUX)
    made.load_state_dict(weights)
    return made


def zimage_of_host(tensors: dict[str, Tensor]) -> Any:
    """diffusers' Z-Image with the host's weights; its class embeds the time at one width only."""
    from diffusers import ZImageTransformer2DModel
    from diffusers.loaders.single_file_utils import convert_z_image_transformer_checkpoint_to_diffusers
    from diffusers.models.transformers.transformer_z_image import TimestepEmbedder

    made = ZImageTransformer2DModel(**ZIMAGE)
    made.t_embedder = TimestepEmbedder(256, mid_size=384)
    given = {key: value for key, value in tensors.items() if key.startswith("model.diffusion_model.")}
    made.load_state_dict(convert_z_image_transformer_checkpoint_to_diffusers(given))
    return made


def model_of(family: str, tensors: dict[str, Tensor], conditioning: Conditioning) -> LatentDiffusion:
    """The same weights in diffusers' classes."""
    from diffusers import AutoencoderKL, SD3Transformer2DModel

    scaling, shift = SCALES[family]
    config = {**VAE, "scaling_factor": scaling, "shift_factor": shift}
    vae = _component(AutoencoderKL, tensors, config, "first_stage_model.", "tiny", torch.float32)
    prefix = "model.diffusion_model."
    if family == "Flux.1 dev":
        transformer = flux_of_host(tensors)
    elif family == "SD3.5":
        transformer = _component(SD3Transformer2DModel, tensors, SD3, prefix, "tiny", torch.float32)
    else:
        transformer = zimage_of_host(tensors)
    return from_flow(transformer, vae, conditioning)


def differences(family: str, tensors: dict[str, Tensor], host: dict[str, Tensor]) -> dict[str, float]:
    """Relative size of what the two differ by, for each answer of the probe."""
    file = Path(__file__).parent / "dmap_test_nodes" / "probe.py"  # a pack for the host, not to be imported whole
    spec = importlib.util.spec_from_file_location("probe", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = model_of(family, tensors, Conditioning(host["context"], host.get("pooled")))
    here = module.probe("dmap", model.denoise, model.decode, model.table, host["latent"], model.flow)
    return {name: float((value - host[name]).norm() / host[name].norm()) for name, value in here.items()}


@pytest.mark.parametrize("family", list(SCALES))
def test_a_family(server: Server, tools: dict[str, Any], family: str) -> None:
    graph, name = tools["Graph"](), re.sub(r"\W", "_", family)
    loader = graph.add("DMAPTestTinyFlow", family=family, file=f"flow_{name}.safetensors")
    image = graph.add("LoadImage", image="small.png")
    crop = graph.add("ImageCrop", image=(image, 0), width=64, height=64, x=32, y=32)
    latent = graph.add("VAEEncode", pixels=(crop, 0), vae=(loader, 2))
    graph.add(
        "DMAPTestProbe", model=(loader, 0), positive=(loader, 1), vae=(loader, 2), latent=(latent, 0),
        file=f"answers_{name}.safetensors",
    )  # fmt: skip
    server.run(graph.prompt)
    server.free()
    tensors, host = (load_file(server.base / "output" / f"{part}_{name}.safetensors") for part in ("flow", "answers"))
    found = differences(family, tensors, host)
    print(family, found)
    assert max(found.values()) < TOLERANCE, found
