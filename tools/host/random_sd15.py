"""Write a random-weight checkpoint of Stable Diffusion 1.5's architecture: ``python -m tools.host.random_sd15 FILE``.

860M parameters of U-Net with text encoder and VAE, fp16, 2.1 GB; for tests, which may not need real weights.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from dmap.output import replacing

from .server import host_folder

UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "num_heads": 8,
    "num_head_channels": -1,
    "adm_in_channels": None,
    "legacy": False,
    "use_temporal_attention": False,
}
VAE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}
# Last layers of residual branches; smaller, so that activations of a random network stay finite.
BRANCH_ENDS = ("out_layers.3.weight", "to_out.0.weight", "ff.net.2.weight", "proj_out.weight", "conv2.weight",
               "out_proj.weight", "fc2.weight")  # fmt: skip


def write(file: Path, seed: int = 0) -> None:
    """Build the host's own classes, randomise them and write the checkpoint atomically."""
    sys.path.insert(0, str(host_folder()))
    from comfy.cli_args import args

    args.cpu = True
    import comfy.ops
    import comfy.sd1_clip
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    half = torch.float16
    parts = {
        "model.diffusion_model.": UNetModel(**UNET, dtype=half, operations=comfy.ops.disable_weight_init),
        "first_stage_model.": AutoencoderKL(ddconfig=VAE, embed_dim=4),
        "cond_stage_model.transformer.": comfy.sd1_clip.SDClipModel(device="cpu", dtype=torch.float32).transformer,
    }
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for prefix, module in parts.items():
        for key, value in module.state_dict().items():
            noise = torch.randn(value.shape, generator=generator)
            if key.endswith("bias"):
                noise *= 0.02
            elif value.ndim == 1:
                noise = 1 + 0.05 * noise
            else:
                noise /= math.sqrt(math.prod(value.shape[1:]))
                noise *= 0.3 if key.endswith(BRANCH_ENDS) else 1.0
            tensors[prefix + key] = noise.to(half).contiguous()
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as new:  # others may be writing the same
        save_file(tensors, new)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
