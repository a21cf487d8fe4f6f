"""Test-only nodes: a tiny Stable Diffusion of the host's own classes, patches, and probes. Never shipped to users."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import folder_paths
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy_api.latest import ComfyExtension, io, ui
from safetensors.torch import save_file

from .probe import probe
from .texts import EmptyText
from .witness import Testimony, Witness

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


PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype | None]] = {
    "fp32": (torch.float32, None),
    "fp16": (torch.float16, None),
    "bf16": (torch.bfloat16, None),
    "fp16 cast to fp32": (torch.float16, torch.float32),
    "fp8 cast to bf16": (torch.float8_e4m3fn, torch.bfloat16),
    "fp8 cast to fp32": (torch.float8_e4m3fn, torch.float32),
}
"""Of the weights, and of computing where the host casts at every use."""


class TinySD(io.ComfyNode):
    """MODEL, CLIP and VAE of the tiny Stable Diffusion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        kinds = ["EPS", "V_PREDICTION", "FLOW", "SD2 EPS", "SD2 V_PREDICTION", "SDXL EPS", "SDXL V_PREDICTION"]
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
        config.set_inference_dtype(*PRECISIONS[precision])
        model = model_class(config, comfy.model_base.ModelType[prediction], device="cpu")
        randomise(model.diffusion_model, 0)
        patcher = comfy.model_patcher.ModelPatcher(
            model,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
        autoencoder = AutoencoderKL(ddconfig=VAE, embed_dim=4)
        randomise(autoencoder, 1)
        vae = comfy.sd.VAE(sd=autoencoder.state_dict(), config={"params": {"ddconfig": VAE, "embed_dim": 4}})
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
        config.set_inference_dtype(torch.float32, None)
        model = comfy.model_base.SDXL(config, comfy.model_base.ModelType[kind], device="cpu")
        randomise(model.diffusion_model, 0)
        patcher = comfy.model_patcher.ModelPatcher(
            model,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
        autoencoder = AutoencoderKL(ddconfig=VAE, embed_dim=4)
        randomise(autoencoder, 1)
        for module in (model.diffusion_model, autoencoder):
            calm(module)
        vae = comfy.sd.VAE(sd=autoencoder.state_dict(), config={"params": {"ddconfig": VAE, "embed_dim": 4}})
        generator = torch.Generator().manual_seed(3)
        context, pooled = (torch.randn(shape, generator=generator) for shape in ((1, 77, CONTEXT), (1, 32)))
        parts = {"model.diffusion_model.": model.diffusion_model, "first_stage_model.": autoencoder}
        tensors = {
            prefix + key: value.detach().clone().contiguous()
            for prefix, module in parts.items()
            for key, value in module.state_dict().items()
        }
        save_file(tensors, os.path.join(folder_paths.get_output_directory(), file))
        return io.NodeOutput(patcher, [[context, {"pooled_output": pooled}]], vae)


class Probe(io.ComfyNode):
    """What the pack's host adapter predicts, inverts and differentiates to, as a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestProbe",
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Vae.Input("vae"),
                io.Latent.Input("latent"),
                io.String.Input("file"),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, vae: Any, latent: dict[str, Any], file: str) -> io.NodeOutput:
        session = next(module for name, module in sys.modules.items() if name.endswith(".nodes.host.session"))
        package = session.__name__.removesuffix(".nodes.host.session") + ".dmap"

        def body(host: Any) -> dict[str, torch.Tensor]:
            return probe(package, host.denoise, host.decode, host.table, host.latent)

        found = session.run(model, positive, latent["samples"], body, vae=vae)
        text = {"context": positive[0][0], "pooled": positive[0][1].get("pooled_output")}
        found |= {key: value for key, value in text.items() if value is not None}
        tensors = {key: value.clone().contiguous().cpu() for key, value in found.items()}
        save_file(tensors, os.path.join(folder_paths.get_output_directory(), file))
        return io.NodeOutput(ui=ui.PreviewText(file))


class Patch(io.ComfyNode):
    """A control signal added to the U-Net's blocks, in place as ControlNets do it, or on a copy."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestPatch",
            inputs=[io.Model.Input("model"), io.Boolean.Input("in_place")],
            outputs=[io.Model.Output("patched")],
        )

    @classmethod
    def execute(cls, model: Any, in_place: bool) -> io.NodeOutput:
        def patch(h: torch.Tensor, hsp: torch.Tensor, options: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
            signal = torch.linspace(-0.5, 0.5, h.shape[-1])
            if in_place:
                h += signal
                hsp *= 1.1
                return h, hsp
            return h + signal, hsp * 1.1

        patched = model.clone()
        patched.set_model_output_block_patch(patch)
        return io.NodeOutput(patched)


class Hungry(io.ComfyNode):
    """A MODEL that, in calls with a gradient, asks the allocator for more than there is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestHungry",
            inputs=[io.Model.Input("model"), io.Int.Input("after"), io.Int.Input("times")],
            outputs=[io.Model.Output("hungry")],
        )

    @classmethod
    def execute(cls, model: Any, after: int, times: int) -> io.NodeOutput:
        calls = 0

        def wrapper(apply: Any, options: dict[str, Any]) -> torch.Tensor:
            nonlocal calls
            if torch.is_grad_enabled():
                calls += 1
                if after < calls <= after + times:
                    torch.empty(2**60)
            result: torch.Tensor = apply(options["input"], options["timestep"], **options["c"])
            return result

        hungry = model.clone()
        hungry.set_model_unet_function_wrapper(wrapper)
        return io.NodeOutput(hungry)


class AttentionPatch(io.ComfyNode):
    """An addition to the cross attention's output from an image's colours, as IP-Adapters make one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestAttentionPatch",
            inputs=[io.Model.Input("model"), io.Image.Input("image")],
            outputs=[io.Model.Output("patched")],
        )

    @classmethod
    def execute(cls, model: Any, image: torch.Tensor) -> io.NodeOutput:
        means = image.mean(dim=(0, 1, 2))

        def patch(attended: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
            return attended + torch.tanh(attended) * means.to(attended).mean()

        patched = model.clone()
        patched.set_model_attn2_output_patch(patch)
        return io.NodeOutput(patched)


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


class Fingerprint(io.ComfyNode):
    """A hash of all weights, buffers and options of a MODEL, and whether its tensors are still the host's."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestFingerprint",
            inputs=[
                io.Model.Input("model"),
                io.AnyType.Input("after", optional=True, tooltip="Only to order the nodes."),
                io.Int.Input("salt", default=0),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: Any, salt: int, after: Any = None) -> io.NodeOutput:
        digest = hashlib.sha256()
        for key, value in sorted(model.model.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().clone().float().numpy().tobytes())
        for name, tensor in model.model.named_parameters():
            digest.update(f"{name} {tensor.requires_grad} {tensor.is_inference()}".encode())
        digest.update(repr(sorted(model.model_options)).encode())
        digest.update(repr(sorted(model.model_options.get("transformer_options", {}))).encode())
        digest.update(repr(sorted(model.additional_models)).encode())
        return io.NodeOutput(ui=ui.PreviewText(digest.hexdigest()))


class Spoil(io.ComfyNode):
    """An IMAGE made unusual."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        kinds = ["none", "nan", "alpha", "grey", "two_channels", "small", "batch2", "batch3", "float"]
        return io.Schema(
            node_id="DMAPTestSpoil",
            inputs=[io.Image.Input("image"), io.Combo.Input("kind", options=kinds)],
            outputs=[io.Image.Output("spoilt")],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, kind: str) -> io.NodeOutput:
        image = image.clone()
        if kind == "nan":
            image[0, 0, 0, 0] = float("nan")
        elif kind == "alpha":
            image = torch.cat([image, torch.ones_like(image[..., :1])], dim=-1)
        elif kind == "grey":
            image = image.mean(dim=-1, keepdim=True)
        elif kind == "two_channels":
            image = image[..., :2]
        elif kind == "float":
            # Between the levels of 8 bits, a little out of range, and with a soft alpha channel.
            image = 1.1 * image - 0.03 + 1e-4 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
            image = torch.cat([image, image[..., :1].clamp(0.2, 0.9)], dim=-1)
        elif kind == "small":
            image = image[:, :48, :48]
        elif kind.startswith("batch"):
            image = torch.cat([image, image.flip(2), image.flip(1)])[: int(kind[-1])]
        return io.NodeOutput(image)


class SpoilLatent(io.ComfyNode):
    """A LATENT made unusual."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestSpoilLatent",
            inputs=[io.Latent.Input("latent"), io.Combo.Input("kind", options=["nan", "channels", "video"])],
            outputs=[io.Latent.Output("spoilt")],
        )

    @classmethod
    def execute(cls, latent: dict[str, Any], kind: str) -> io.NodeOutput:
        samples = latent["samples"].clone()
        if kind == "nan":
            samples[0, 0, 0, 0] = float("nan")
        elif kind == "channels":
            samples = samples[:, :3]
        else:
            samples = samples[:, :, None]
        return io.NodeOutput({"samples": samples})


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


class Halves(io.ComfyNode):
    """A MASK of an image's size: 1 on the left, a ramp, 0 on the right."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestHalves",
            inputs=[io.Image.Input("image"), io.Float.Input("fill", default=1.0)],
            outputs=[io.Mask.Output("mask")],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, fill: float) -> io.NodeOutput:
        height, width = image.shape[1:3]
        ramp = (1.5 - torch.linspace(0, 3, width)).clamp(0, 1) * fill
        return io.NodeOutput(ramp.expand(1, height, width).clone())


class Compare(io.ComfyNode):
    """Largest and mean difference of two images, inside and outside of a mask, and the first one's shape."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestCompare",
            inputs=[io.Image.Input("first"), io.Image.Input("second"), io.Mask.Input("mask", optional=True)],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, first: torch.Tensor, second: torch.Tensor, mask: torch.Tensor | None = None) -> io.NodeOutput:
        found: dict[str, Any] = {"shape": list(first.shape)}
        if first.shape == second.shape:
            difference = (first - second).abs()
            inside = torch.ones_like(difference[..., 0]) if mask is None else mask.expand(difference.shape[:-1])
            for name, where in (("inside", inside > 0), ("outside", inside == 0)):
                part = difference[where]
                found[name] = {"max": float(part.max()), "mean": float(part.mean())} if len(part) else None
        return io.NodeOutput(ui=ui.PreviewText(json.dumps(found)))


class TestNodes(ComfyExtension):
    """Hands the nodes to the host."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            TinySD,
            TinyXL,
            EmptyText,
            Witness,
            Testimony,
            Probe,
            Hungry,
            Patch,
            AttentionPatch,
            TinyControlNet,
            Fingerprint,
            Spoil,
            SpoilLatent,
            NoConditioning,
            Halves,
            Compare,
        ]


async def comfy_entrypoint() -> ComfyExtension:
    """The host calls this."""
    return TestNodes()
