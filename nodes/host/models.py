"""The pack's own networks as the host's objects: MODEL, CONDITIONING, VAE, and priors under its memory management."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import comfy.ldm.models.autoencoder
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models_base
import torch

from ...dmap.models import Autoencoder, LatentDenoiser, load_model, read_model
from ...dmap.priors import load_prior
from . import files
from .session import HostPrior

# The smallest network that the host's VAE class builds by itself; it is replaced at once by ours.
_PLACEHOLDER = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 32,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}


class DemoLatent(comfy.latent_formats.LatentFormat):  # type: ignore[misc]
    """Latents of the shipped autoencoder: unit scale already."""

    latent_channels = Autoencoder.latent_channels
    spacial_downscale_ratio = Autoencoder.downscale


class DemoModelConfig(comfy.supported_models_base.BASE):  # type: ignore[misc]
    """What the host wants to know of the shipped denoiser."""

    unet_extra_config: dict[str, Any] = {}
    latent_format = DemoLatent
    supported_inference_dtypes = [torch.float32]
    memory_usage_factor = 0.5


def load_demo_models() -> tuple[Any, list[Any], Any]:
    """(MODEL, CONDITIONING, VAE) of the shipped networks."""
    with torch.inference_mode(False), torch.no_grad():
        return _demo_model(), [[torch.zeros(1, 1, 1), {}]], DemoVAE()


def _demo_model() -> Any:
    saved = read_model("demo_denoiser", kind="denoiser")
    config = DemoModelConfig(saved.config)
    config.set_inference_dtype(torch.float32, None)
    offload = comfy.model_management.unet_offload_device()
    model = comfy.model_base.BaseModel(
        config, comfy.model_base.ModelType.V_PREDICTION, device=offload, unet_model=LatentDenoiser
    )
    model.diffusion_model.load_state_dict({key: value.float() for key, value in saved.tensors.items()})
    model.diffusion_model.to(memory_format=torch.channels_last).requires_grad_(False)
    return comfy.model_patcher.ModelPatcher(
        model, load_device=comfy.model_management.get_torch_device(), offload_device=offload
    )


class DemoVAE(comfy.sd.VAE):  # type: ignore[misc]
    """The host's VAE around the shipped autoencoder."""

    def __init__(self) -> None:
        placeholder = comfy.ldm.models.autoencoder.AutoencoderKL(ddconfig=_PLACEHOLDER, embed_dim=4)
        config = {"params": {"ddconfig": _PLACEHOLDER, "embed_dim": 4}}
        super().__init__(sd=placeholder.state_dict(), config=config, dtype=torch.float32)
        self.first_stage_model = load_model("demo_autoencoder", kind="autoencoder").requires_grad_(False)
        self.latent_channels = Autoencoder.latent_channels
        self.downscale_ratio = self.upscale_ratio = Autoencoder.downscale
        # Bytes of a pass without gradient, per pixel of the image (encode) and position of the latent (decode).
        self.memory_used_encode = lambda shape, _dtype: 400 * shape[2] * shape[3] * 4
        self.memory_used_decode = lambda shape, _dtype: 400 * shape[2] * shape[3] * Autoencoder.downscale**2 * 4
        self.patcher = comfy.model_patcher.ModelPatcher(
            self.first_stage_model,
            load_device=self.device,
            offload_device=comfy.model_management.vae_offload_device(),
        )
        self.size = None
        self.model_size()


def load_prior_patchers(name: str, download: bool = False, score_map: tuple[float, float] | None = None) -> HostPrior:
    """A prior by name, in float32 on the offload device until the host loads it; a mixture's parts one by one.

    Args:
        name, score_map: as for ``load_prior``.
        download: whether missing weights may be fetched.

    Raises:
        UserError: for an unknown name, or a prior that cannot be loaded here.
    """
    with torch.inference_mode(False), torch.no_grad():
        prior = load_prior(name, files.iqa_store(download), score_map).float().eval().requires_grad_(False)
    patchers = (
        comfy.model_patcher.ModelPatcher(
            leaf,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
        for leaf in prior.leaves()
    )
    return HostPrior(prior, tuple(patchers))
