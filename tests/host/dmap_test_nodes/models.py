"""MODEL, CLIP, VAE, CONDITIONING and CONTROL_NET of the small networks."""

from __future__ import annotations

import copy
import os
from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.supported_models_base
import folder_paths
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy_api.latest import io
from safetensors.torch import save_file

from .networks import (
    CONTEXT,
    SD2,
    SDXL,
    UNET,
    VAE,
    TinyClip,
    TinyConfig,
    TinySD2,
    TinySDXL,
    TinyTokenizer,
    calm,
    randomise,
)

PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype | None]] = {
    "fp32": (torch.float32, None),
    "fp16": (torch.float16, None),
    "bf16": (torch.bfloat16, None),
    "fp16 cast to fp32": (torch.float16, torch.float32),
    "fp8 cast to bf16": (torch.float8_e4m3fn, torch.bfloat16),
    "fp8 cast to fp32": (torch.float8_e4m3fn, torch.float32),
}
"""Of the weights, and of computing where the host casts at every use."""


def built(
    config: Any, model_class: Any, kind: str, layout: dict[str, Any], precision: str = "fp32", calmed: bool = False
) -> tuple[Any, Any, Any]:
    """Patcher of a model of the host's own class, its VAE, and the VAE's network, with random weights.

    Args:
        config: of the host's, for the diffusion model.
        model_class: the host's.
        kind: name of the prediction.
        layout: of the VAE.
        precision: one of PRECISIONS.
        calmed: weights that deep networks can be stacked of.
    """
    config.set_inference_dtype(*PRECISIONS[precision])
    model = model_class(config, comfy.model_base.ModelType[kind], device="cpu")
    autoencoder = AutoencoderKL(ddconfig=layout, embed_dim=4)
    for seed, module in enumerate((model.diffusion_model, autoencoder)):
        randomise(module, seed)
        if calmed:
            calm(module)
    kind_of_patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)  # since 2026
    patcher = kind_of_patcher(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    vae = comfy.sd.VAE(sd=autoencoder.state_dict(), config={"params": {"ddconfig": layout, "embed_dim": 4}})
    return patcher, vae, autoencoder


def random_conditioning(width: int, pooled: int) -> list[Any]:
    """CONDITIONING of Stable Diffusion XL for so wide text encoders."""
    generator = torch.Generator().manual_seed(3)
    context, vector = (torch.randn(shape, generator=generator) for shape in ((1, 77, width), (1, pooled)))
    return [[context, {"pooled_output": vector}]]


class TinySD(io.ComfyNode):
    """MODEL, CLIP and VAE of the tiny Stable Diffusion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        kinds = ["EPS", "V_PREDICTION", "FLOW", "EDM", "STABLE_CASCADE", "FLOW_COSMOS"]
        kinds += ["SD2 EPS", "SD2 V_PREDICTION", "SDXL EPS", "SDXL V_PREDICTION"]
        return io.Schema(
            node_id="DMAPTestTinySD",
            inputs=[
                io.Combo.Input("kind", options=kinds),
                io.Int.Input("channels", default=4),
                io.Combo.Input("precision", options=list(PRECISIONS), default="fp32", optional=True),
            ],
            outputs=[io.Model.Output("model"), io.Clip.Output("clip"), io.Vae.Output("vae")],
        )

    @classmethod
    def execute(cls, kind: str, channels: int, precision: str = "fp32") -> io.NodeOutput:
        family, _, prediction = kind.rpartition(" ")
        classes: dict[str, tuple[Any, dict[str, Any], Any]] = {
            "": (TinyConfig, {}, comfy.model_base.BaseModel),
            "SD2": (TinySD2, SD2, comfy.model_base.BaseModel),
            "SDXL": (TinySDXL, SDXL, comfy.model_base.SDXL),
        }
        config_class, extra, model_class = classes[family]
        config = config_class({**UNET, **extra, "in_channels": channels, "out_channels": channels})
        patcher, vae, _ = built(config, model_class, prediction, VAE, precision)
        clip = comfy.sd.CLIP(target=comfy.supported_models_base.ClipTarget(TinyTokenizer, TinyClip))
        randomise(clip.cond_stage_model, 2)
        return io.NodeOutput(patcher, clip, vae)


TINY_XL = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 64,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": (1, 2, 4),
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    "transformer_depth_middle": 2,
    "context_dim": CONTEXT,
    "num_head_channels": 64,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "num_classes": "sequential",
    "adm_in_channels": 32 + 6 * 256,
    "legacy": False,
    "use_temporal_attention": False,
}


class TinyXL(io.ComfyNode):
    """MODEL, CONDITIONING and VAE of Stable Diffusion XL at a fifth of its width, also written as a checkpoint."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestTinyXL",
            inputs=[io.Combo.Input("kind", options=["EPS", "V_PREDICTION"]), io.String.Input("file")],
            outputs=[io.Model.Output("model"), io.Conditioning.Output("positive"), io.Vae.Output("vae")],
        )

    @classmethod
    def execute(cls, kind: str, file: str) -> io.NodeOutput:
        config = comfy.supported_models.SDXL(TINY_XL)
        patcher, vae, autoencoder = built(config, comfy.model_base.SDXL, kind, VAE, calmed=True)
        parts = {"model.diffusion_model.": patcher.model.diffusion_model, "first_stage_model.": autoencoder}
        tensors = {
            prefix + key: value.detach().clone().contiguous()
            for prefix, module in parts.items()
            for key, value in module.state_dict().items()
        }
        save_file(tensors, os.path.join(folder_paths.get_output_directory(), file))
        return io.NodeOutput(patcher, random_conditioning(CONTEXT, 32), vae)


FULL_XL = {
    **TINY_XL,
    "model_channels": 320,
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "context_dim": 2048,
    "adm_in_channels": 2816,
}
FULL_VAE = {**VAE, "resolution": 256, "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2}


class FullXL(io.ComfyNode):
    """MODEL, CONDITIONING and VAE of Stable Diffusion XL at its full size, in bfloat16; 5 GB, for runs by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestFullXL",
            inputs=[],
            outputs=[io.Model.Output("model"), io.Conditioning.Output("positive"), io.Vae.Output("vae")],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        config = comfy.supported_models.SDXL(FULL_XL)
        patcher, vae, _ = built(config, comfy.model_base.SDXL, "EPS", FULL_VAE, "bf16", calmed=True)
        return io.NodeOutput(patcher, random_conditioning(2048, 1280), vae)


class TinyControlNet(io.ComfyNode):
    """A CONTROL_NET of the host's own classes that fits the tiny Stable Diffusion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestTinyControlNet",
            inputs=[],
            outputs=[io.ControlNet.Output("control_net")],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        options = {key: value for key, value in UNET.items() if key != "out_channels"}
        network = comfy.cldm.cldm.ControlNet(**options, num_heads=8, hint_channels=3)
        randomise(network, 3)
        control = comfy.controlnet.ControlNet(network, load_device=comfy.model_management.get_torch_device())
        return io.NodeOutput(control)


class OtherVAE(io.ComfyNode):
    """The VAE of another training: the same shapes, other weights."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="DMAPTestOtherVAE", inputs=[io.Vae.Input("vae")], outputs=[io.Vae.Output("other")])

    @classmethod
    def execute(cls, vae: Any) -> io.NodeOutput:
        with torch.inference_mode(False):
            network = copy.deepcopy(vae.first_stage_model)
            generator = torch.Generator().manual_seed(7)
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter.data = parameter.data[torch.randperm(len(parameter), generator=generator)].clone()
        other = copy.copy(vae)
        other.first_stage_model = network
        other.patcher = type(vae.patcher)(network, vae.patcher.load_device, vae.patcher.offload_device)
        return io.NodeOutput(other)


class NoConditioning(io.ComfyNode):
    """An empty CONDITIONING, one of a wrong width, or one for the tiny Stable Diffusion 2 and XL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestConditioning",
            inputs=[
                io.Combo.Input("kind", options=["empty", "narrow", "wide"]),
                io.Int.Input("size", default=0, optional=True, tooltip="For Stable Diffusion XL; 0 = not said."),
            ],
            outputs=[io.Conditioning.Output("positive")],
        )

    @classmethod
    def execute(cls, kind: str, size: int = 0) -> io.NodeOutput:
        if kind == "wide":
            generator = torch.Generator().manual_seed(0)
            extra: dict[str, Any] = {"pooled_output": torch.randn(1, 1280, generator=generator)}
            extra |= dict.fromkeys(("width", "height", "target_width", "target_height"), size) if size else {}
            return io.NodeOutput([[torch.randn(1, 77, SD2["context_dim"], generator=generator), extra]])
        return io.NodeOutput([] if kind == "empty" else [[torch.zeros(1, 77, 8), {}]])
