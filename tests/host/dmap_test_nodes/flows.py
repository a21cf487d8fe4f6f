"""Flow models of the host's own classes, tiny and random, and what the pack does with them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.cldm.mmdit
import comfy.controlnet
import comfy.latent_formats
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models
import folder_paths
import torch
from comfy.ldm.chroma.model import ChromaParams
from comfy.ldm.flux.controlnet import ControlNetFlux
from comfy.ldm.flux.model import FluxParams
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.ldm.wan.vae import WanVAE
from comfy_api.latest import io, ui
from safetensors.torch import save_file

from .networks import VAE, randomise

TEXT = 64
_FLUX = {
    "image_model": "flux", "in_channels": 16, "out_channels": 16, "vec_in_dim": 32, "context_in_dim": TEXT,
    "hidden_size": 128, "mlp_ratio": 4.0, "num_heads": 2, "depth": 2, "depth_single_blocks": 2,
    "axes_dim": [16, 24, 24], "theta": 10000, "patch_size": 2, "qkv_bias": True, "guidance_embed": True,
    "txt_ids_dims": [],
}  # fmt: skip
_FLUX2 = {
    **_FLUX, "image_model": "flux2", "in_channels": 128, "out_channels": 128, "vec_in_dim": None, "mlp_ratio": 3.0,
    "axes_dim": [16, 16, 16, 16], "theta": 2000, "patch_size": 1, "qkv_bias": False, "guidance_embed": False,
    "global_modulation": True, "mlp_silu_act": True, "ops_bias": False, "default_ref_method": "index",
    "ref_index_scale": 10.0, "txt_ids_dims": [3],
}  # fmt: skip
_CHROMA = {
    **_FLUX, "image_model": "chroma", "in_channels": 64, "out_channels": 64, "in_dim": 64, "out_dim": 128,
    "hidden_dim": 64, "n_layers": 2,
}  # fmt: skip
_SD3 = {
    "in_channels": 16, "out_channels": 16, "patch_size": 2, "depth": 2, "input_size": None, "adm_in_channels": 32,
    "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": TEXT, "out_features": 128}},
    "num_patches": 32 * 32, "pos_embed_max_size": 32, "pos_embed_scaling_factor": None, "x_block_self_attn_layers": [],
}  # fmt: skip
_LUMINA = {
    "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 128, "cap_feat_dim": TEXT, "n_layers": 3,
    "n_refiner_layers": 1, "qk_norm": True, "n_heads": 2, "n_kv_heads": 1, "axes_dims": [16, 24, 24],
    "axes_lens": [64, 64, 64], "rope_theta": 10000.0, "ffn_dim_multiplier": 4.0,
}  # fmt: skip
_ZIMAGE = {
    **_LUMINA, "dim": 384, "n_heads": 6, "n_kv_heads": 6, "rope_theta": 256.0, "ffn_dim_multiplier": 8 / 3,
    "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
}  # fmt: skip
_QWEN = {
    "image_model": "qwen_image", "in_channels": 64, "out_channels": 16, "patch_size": 2, "num_layers": 3,
    "attention_head_dim": 64, "num_attention_heads": 2, "joint_attention_dim": TEXT, "axes_dims_rope": (16, 24, 24),
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """The host's class in ``comfy.supported_models``, its network's configuration, and the LoRA's target."""

    config: str
    network: dict[str, Any]
    linear: str


FAMILIES = {
    "SD3": Family("SD3", _SD3, "joint_blocks.0.x_block.attn.qkv"),
    "SD3.5": Family(
        "SD3", {**_SD3, "qk_norm": "rms", "x_block_self_attn_layers": [0]}, "joint_blocks.0.x_block.attn.qkv"
    ),
    "Flux.1 dev": Family("Flux", _FLUX, "double_blocks.0.img_attn.qkv"),
    "Flux.1 schnell": Family("FluxSchnell", {**_FLUX, "guidance_embed": False}, "double_blocks.0.img_attn.qkv"),
    "FLUX.2": Family("Flux2", _FLUX2, "double_blocks.0.img_attn.qkv"),
    "Chroma": Family("Chroma", _CHROMA, "double_blocks.0.img_attn.qkv"),
    "Lumina 2": Family("Lumina2", _LUMINA, "layers.0.attention.qkv"),
    "Z-Image": Family("ZImage", _ZIMAGE, "layers.0.attention.qkv"),
    "Qwen-Image": Family("QwenImage", _QWEN, "transformer_blocks.0.attn.to_q"),
}


def options_of(family: Family) -> dict[str, Any]:
    """The network's configuration as far as this host knows it."""
    if family.config not in ("Flux", "FluxSchnell", "Flux2", "Chroma"):
        return dict(family.network)
    known = (ChromaParams if family.config == "Chroma" else FluxParams).__dataclass_fields__
    return {key: value for key, value in family.network.items() if key in known or key == "image_model"}


def _randomise(network: torch.nn.Module, seed: int) -> None:
    randomise(network, seed)
    for name, buffer in network.named_buffers():
        if name == "pos_embed":  # of Stable Diffusion 3, where files bring it along
            buffer.copy_(0.1 * torch.randn(buffer.shape, generator=torch.Generator().manual_seed(2)))


def model_of(family: Family, weights: str = "fp32") -> Any:
    """A patcher of the host's own model with random weights, stored as "fp32" or as "fp8" and computed with in fp32."""
    config = getattr(comfy.supported_models, family.config)(options_of(family))
    config.set_inference_dtype(*((torch.float8_e4m3fn, torch.float32) if weights == "fp8" else (torch.float32, None)))
    model = config.get_model({}, "", device="cpu")
    _randomise(model.diffusion_model, 0)
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)  # since 2026
    return kind(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def vae_of(family: Family) -> Any:
    """The family's kind of VAE: of Wan for Qwen-Image, with a batch norm and pixels four to one for FLUX.2."""
    if family.config == "QwenImage":
        network = WanVAE(
            dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, temperal_downsample=[False, True, True]
        )
        randomise(network, 1)
        return comfy.sd.VAE(sd=network.state_dict())
    two = family.config == "Flux2"
    layout = {**VAE, "z_channels": 32 if two else 16, **({"batch_norm_latent": True} if two else {})}
    options = {"ddconfig": layout, "embed_dim": layout["z_channels"]}
    network = AutoencoderKL(**options)
    randomise(network, 1)
    vae = comfy.sd.VAE(sd=network.state_dict(), config={"params": options})
    # What the host finds out of files of the full width, which is all that it knows.
    vae.latent_channels = 128 if two else 16
    if two:
        vae.downscale_ratio = vae.upscale_ratio = 16
    return vae


def text_of(family: Family, guidance: float | None = None) -> list[Any]:
    """CONDITIONING with random numbers; the pooled text where the family has one."""
    generator = torch.Generator().manual_seed(3)
    options: dict[str, Any] = {"pooled_output": torch.randn(1, 32, generator=generator)}
    if family.config in ("Flux2", "Chroma", "Lumina2", "ZImage", "QwenImage"):
        options["pooled_output"] = None
    return [
        [torch.randn(1, 12, TEXT, generator=generator), options | ({} if guidance is None else {"guidance": guidance})]
    ]


class TinyFlow(io.ComfyNode):
    """MODEL, CONDITIONING and VAE of a family."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestTinyFlow",
            inputs=[
                io.Combo.Input("family", options=list(FAMILIES)),
                io.String.Input("file", default="", optional=True, tooltip="Written as a checkpoint, if named."),
                io.Combo.Input("weights", options=["fp32", "fp8"], default="fp32", optional=True),
            ],
            outputs=[io.Model.Output("model"), io.Conditioning.Output("positive"), io.Vae.Output("vae")],
        )

    @classmethod
    def execute(cls, family: str, file: str = "", weights: str = "fp32") -> io.NodeOutput:
        found = FAMILIES[family]
        model, vae = model_of(found, weights), vae_of(found)
        if file:
            parts = {"model.diffusion_model.": model.model.diffusion_model, "first_stage_model.": vae.first_stage_model}
            tensors = {
                prefix + key: value.detach().clone().contiguous()
                for prefix, module in parts.items()
                for key, value in module.state_dict().items()
            }
            save_file(tensors, os.path.join(folder_paths.get_output_directory(), file))
        return io.NodeOutput(model, text_of(found), vae)


class FlowControl(io.ComfyNode):
    """A CONTROL_NET of the host's own class for a family's tiny network, which reads the picture's latent."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestFlowControl",
            inputs=[io.Combo.Input("family", options=["SD3", "Flux.1 dev"])],
            outputs=[io.ControlNet.Output("control_net")],
        )

    @classmethod
    def execute(cls, family: str) -> io.NodeOutput:
        options = options_of(FAMILIES[family]) | {
            "control_latent_channels": 16,
            "dtype": torch.float32,
            "operations": comfy.ops.disable_weight_init,
        }
        if family == "SD3":
            network = comfy.cldm.mmdit.ControlNet(num_blocks=1, **options)
            latents, more = comfy.latent_formats.SD3(), []
        else:
            network = ControlNetFlux(latent_input=True, **options)
            network.main_model_double, network.main_model_single = options["depth"], options["depth_single_blocks"]
            latents, more = comfy.latent_formats.Flux(), ["y", "guidance"]
        _randomise(network, 3)
        control = comfy.controlnet.ControlNet(
            network,
            compression_ratio=1,
            latent_format=latents,
            load_device=comfy.model_management.get_torch_device(),
            extra_conds=more or ["y"],
        )
        return io.NodeOutput(control)


class FlowFacts(io.ComfyNode):
    """What the pack's adapter does with a flow model, in figures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DMAPTestFlowFacts",
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Vae.Input("vae"),
                io.Latent.Input("latent"),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, vae: Any, latent: dict[str, Any]) -> io.NodeOutput:
        name = next(name for name in sys.modules if name.endswith(".nodes.host.session"))
        return io.NodeOutput(ui=ui.PreviewText(json.dumps(facts(name, model, positive, vae, latent["samples"]))))


def facts(name: str, model: Any, positive: Any, vae: Any, latent: torch.Tensor) -> dict[str, float]:
    """Figures of a batch of two: round trips, gradients, batch against singles, by blocks against whole, memory.

    ``name`` is that of the pack's module ``nodes.host.session``.
    """
    session = sys.modules[name]
    package = name.removesuffix("nodes.host.session") + "dmap"
    latent = torch.cat([latent, 0.7 * latent.flip(-1)])
    found: dict[str, float] = {}

    def one(host: Any) -> torch.Tensor:
        path = _path(package, host, host.latent[1:])
        state: torch.Tensor = path.state
        return state

    single = session.run(model, positive, latent, one, vae=vae)

    def body(host: Any) -> None:
        found.update(_figures(package, host, single))

    session.run(model, positive, latent, body, vae=vae)
    return found


def _part(package: str, name: str) -> Any:
    __import__(f"{package}.{name}")
    return sys.modules[f"{package}.{name}"]


def _path(package: str, host: Any, latent: torch.Tensor, solver: str = "residual_ddim") -> Any:
    schedule = _part(package, "method.schedule").Schedule.from_table(host.model.table, 3, 0.3, flow=host.model.flow)
    with torch.no_grad():
        return _part(package, "method.solvers").make_solver(solver).invert(host.model.denoise, schedule, latent)


def _figures(package: str, host: Any, single: torch.Tensor) -> dict[str, float]:
    solvers, chains = _part(package, "method.solvers"), _part(package, "method.chain")
    plan, gradients = _part(package, "memory.plan"), _part(package, "method.gradients")
    found: dict[str, float] = {"flow": float(host.model.flow), "channels": host.latent.shape[1]}
    for solver in ("residual_ddim", "edict"):
        path = _path(package, host, host.latent, solver)
        error = solvers.round_trip_error(solvers.make_solver(solver), host.model.denoise, path)
        found[f"round trip of {solver}"] = float(error.max())
    path = _path(package, host, host.latent)
    found["batch against singles"] = float((path.state[:, 1:] - single).norm() / single.norm())

    def gradient(level: str, kept: int) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
        denoising = host.model.denoising()
        if level == "blocks":
            assert denoising.lighter(), "it has no blocks"
        chain = chains.Chain(path, denoising, host.model.decode, gradients.make_gradient("auto", kept))
        z = chain.start().requires_grad_(True)
        with torch.enable_grad():
            image = chain(z)
            weights = torch.randn(image.shape, generator=torch.Generator().manual_seed(6)) / image[0].numel() ** 0.5
            (result,) = torch.autograd.grad((image * weights).sum(), z)
        found["pixels"] = image.shape[-1] / path.latent.shape[-1]
        return result, lambda x: (chain(x) * weights).sum(), z.detach()

    whole, value, z = gradient("whole", 0)
    for name, other in (
        ("kept", gradient("whole", 9)),
        ("by blocks", gradient("blocks", 0)),
        ("kept by blocks", gradient("blocks", 9)),
    ):
        found[f"{name} against computed again"] = float((other[0] - whole).norm() / whole.norm())
    direction = whole / whole.norm()
    with torch.no_grad():
        slopes = [float(value(z + h * direction) - value(z - h * direction)) / (2 * h) for h in (0.005, 0.0025)]
    slope = (4 * slopes[1] - slopes[0]) / 3  # without the error of third order
    found["gradient error"] = abs(slope / float(whole.norm()) - 1)
    sigma = path.schedule.sigmas[0]
    for level in ("whole", "blocks"):
        denoising = host.model.denoising()
        if level == "blocks":
            denoising.lighter()
        usage = plan.measure(lambda u: denoising(u, sigma), path.latent)  # noqa: B023
        found |= {f"MiB kept, {level}": usage.kept / 2**20, f"MiB at once, {level}": usage.peak / 2**20}
    return found
