"""Whether the sockets' MODEL, CONDITIONING and VAE can be worked with; the errors say which ones can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...dmap.errors import UserError
from . import families, features, schedule
from .session import HostPath


def check_model(model: Any, node: str) -> None:
    """Raise UserError unless a MODEL's kind can be worked with in this host; the error says why not."""
    if features.is_multigpu_clone(model):
        raise UserError(f"{node}, socket 'model': multi-GPU clones run without gradients; connect the plain model")
    reason = families.refusal(model)
    if reason is not None:
        patch = families.sampling_patch(model)
        if patch is not None:
            raise UserError(
                f"{node}, socket 'model': its noise levels were replaced by {schedule.origin(patch)}, and such levels "
                f"are not supported; take that node off. What can be worked with is {families.SUPPORTED}"
            )
        raise UserError(f"{node}, socket 'model': {reason}; connect {families.SUPPORTED}")
    if features.lacks_gradient(model.model.diffusion_model):
        raise UserError(f"{node}, {features.NO_GRADIENT.format('comfy_kitchen (rotary embeddings)')}")


def check_conditioning(model: Any, positive: Any, node: str) -> None:
    """Raise UserError if a text model gets no usable conditioning."""
    if not positive:
        raise UserError(f"{node}, socket 'positive': it is empty; connect CLIP Text Encode with an empty text")
    for item in positive:
        if not (isinstance(item, list | tuple) and len(item) >= 2 and isinstance(item[1], dict)):
            raise UserError(f"{node}, socket 'positive': it is no CONDITIONING; connect CLIP Text Encode")
    width = families.text_width(model)
    for item in positive:
        got = item[0].shape[-1] if isinstance(item[0], Tensor) else None
        if width is not None and got != width:
            raise UserError(
                f"{node}, socket 'positive': the model expects text conditioning of width {width}, got {got}; "
                "connect CLIP Text Encode (an empty text will do) with the CLIP of the same checkpoint, or the text "
                "encoder that belongs to the model"
            )
        if families.lacks_pooled(model, item[1]):
            raise UserError(
                f"{node}, socket 'positive': the model needs the pooled text as well; connect CLIP Text Encode with "
                "all text encoders of the model, its CLIP-L among them"
            )


def check_tiles(positive: Sequence[Any], node: str) -> None:
    """Raise UserError if the conditioning is tied to the whole picture."""
    tied = {"control": "a ControlNet", "gligen": "GLIGEN", "area": "an area", "mask": "a mask"}
    for item in positive:
        for key, what in tied.items():
            if item[1].get(key) is not None:
                raise UserError(
                    f"{node}, socket 'tiles': the conditioning holds {what}, which each tile would see squeezed into "
                    "itself; take it out of 'positive', or disconnect the tiles"
                )


def check_vae(vae: Any, node: str) -> None:
    """Raise UserError unless the VAE decodes latents to images by the convention that decoding here relies on."""
    if getattr(vae, "first_stage_model", None) is None:
        raise UserError(f"{node}, socket 'vae': the checkpoint holds no VAE; load one with Load VAE")
    pictures = vae.latent_dim == 2 or features.encodes_frames(vae)
    if not pictures or vae.output_channels != 3 or not features.decodes_pictures(vae):
        raise UserError(
            f"{node}, socket 'vae': video, audio and pixel-space VAEs are not supported; connect the VAE of "
            f"{families.SUPPORTED}"
        )


def check_vae_fits(vae: Any, path: HostPath, node: str) -> None:
    """Raise UserError if the VAE is for latents with another number of channels than the path's."""
    channels = path.path.latent.shape[1]
    if vae.latent_channels != channels:
        raise UserError(
            f"{node}, socket 'vae': it takes latents with {vae.latent_channels} channels, the path has {channels}; "
            "connect the VAE that encoded the photograph"
        )
