"""Kinds of models: which of the host's can be worked with, their noise levels, and the shape of their latents.

A kind is what the host makes a model's sampling of: how it predicts (EPS, V_PREDICTION, CONST) and which levels it
knows. Flow models are CONST with a time s in [0, 1]: D = x - s v, and the input is x = (1 - s) x0 + s n as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import comfy.model_sampling
from torch import Tensor

from ...dmap.method.schedule import flow_table
from . import schedule

SUPPORTED = (
    "Stable Diffusion 1.x, 2.x or XL, a flow model (Stable Diffusion 3 or 3.5, Flux.1, FLUX.2, Z-Image, Lumina 2, "
    "Qwen-Image 1.x, Chroma), or the model of DMAP Load Demo Models"
)
REFUSED = {
    "FLOW_COSMOS": "Cosmos and Anima models scale their input and their time by levels without an end",
    "EDM": "its levels are those of EDM, and the network sees their logarithm",
    "V_PREDICTION_EDM": "its levels are those of EDM, and the network sees their logarithm",
    "V_PREDICTION_CONTINUOUS": "its levels are those of an audio model",
    "STABLE_CASCADE": "Stable Cascade's decoder is a diffusion model itself",
    "IMG_TO_IMG": "it goes from one image to another, not from noise to an image",
    "IMG_TO_IMG_FLOW": "it goes from one image to another, not from noise to an image",
}
"""By the host's names of kinds: why not."""

DEFAULT_GUIDANCE = 3.5
"""What the host hands to a Flux network whose conditioning does not say."""


def kind_of(model: Any) -> str:
    """The host's name of a MODEL's kind of sampling."""
    sampling = model.get_model_object("model_sampling")
    return str(getattr(getattr(model.model, "model_type", None), "name", type(sampling).__name__))


def sampling_patch(model: Any) -> Any:
    """What a node, such as ModelSamplingSD3, has put in place of a MODEL's noise levels; None without one."""
    return getattr(model, "object_patches", {}).get("model_sampling")


def is_flow(model: Any) -> bool:
    """Whether a MODEL is one of flow matching, as it is patched now."""
    return _flows(model.get_model_object("model_sampling"))


def _flows(sampling: Any) -> bool:
    host = comfy.model_sampling
    flow = isinstance(sampling, host.CONST) and not _from_images(sampling)
    return flow and isinstance(sampling, host.ModelSamplingDiscreteFlow | host.ModelSamplingFlux)


def _from_images(sampling: Any) -> bool:
    """Whether a model goes from one image to another; hosts name the kind in one or two classes, or not at all."""
    kinds = tuple(getattr(comfy.model_sampling, name, ()) for name in ("IMG_TO_IMG", "IMG_TO_IMG_FLOW"))
    return isinstance(sampling, kinds)


def levels(model: Any) -> Tensor | None:
    """The noise levels of a MODEL, (T,) float64, increasing; None for a kind that cannot be worked with."""
    if is_flow(model):
        return flow_table()
    sampling, host = model.get_model_object("model_sampling"), comfy.model_sampling
    diffusion = isinstance(sampling, host.EPS) and not _from_images(sampling)
    if diffusion and isinstance(sampling, host.ModelSamplingDiscrete):
        table: Tensor = sampling.sigmas.detach().clone().cpu().double()
        # Stable Cascade's levels run the other way.
        return table if bool((table.diff() > 0).all()) else None
    return None


def refusal(model: Any) -> str | None:
    """Why a MODEL cannot be worked with, in words that end a sentence; None if it can."""
    kind, config = kind_of(model), model.model.model_config.unet_config
    if levels(model) is None or kind in REFUSED:
        return f"models of type {kind} are not supported: {REFUSED.get(kind, 'they are of no kind that is known here')}"
    if getattr(model.model, "concat_keys", ()) or config.get("in_channels", 0) > _outputs(config):
        return f"inpainting, control and edit models that are given a second image ({kind}) are not supported"
    form = model.model.latent_format
    if form.latent_dimensions not in (2, 3) or "Audio" in type(form).__name__ or not _holds_pictures(form):
        return f"audio and video models ({type(form).__name__}) are not supported"
    if getattr(form, "spacial_downscale_ratio", 8) == 1:
        return f"models that work on pixels ({type(form).__name__}) are not supported"
    return None


def _outputs(config: dict[str, Any]) -> int:
    return int(config.get("out_channels") or config.get("in_channels", 0)) if _is_flux(config) else 10**9


def _is_flux(config: dict[str, Any]) -> bool:
    return config.get("image_model") in ("flux", "flux2", "chroma")


def _holds_pictures(form: Any) -> bool:
    """Whether a format is of pictures: of those of videos Wan 2.1's, which Qwen-Image and its like share."""
    return form.latent_dimensions != 3 or type(form).__name__ == "Wan21"


def has_frames(model: Any) -> bool:
    """Whether the host's latents of a MODEL have a dimension for frames, of which a picture has one."""
    return int(model.model.latent_format.latent_dimensions) == 3


def with_frames(latent: Tensor, model: Any) -> Tensor:
    """A latent as the host's network and autoencoder of a MODEL want it: (B, C, 1, H, W) where it has frames."""
    return latent.unsqueeze(2) if has_frames(model) and latent.ndim == 4 else latent


def without_frames(latent: Tensor) -> Tensor:
    """(B, C, H, W) of the host's latent or image with one frame."""
    return latent.squeeze(2) if latent.ndim == 5 else latent


def ordinary_format(form: Any) -> Any:
    """A latent format whose numbers autograd can save: nodes that load models make inference tensors of them."""
    made = copy(form)
    made.__dict__.update({key: x.clone() for key, x in vars(form).items() if isinstance(x, Tensor)})
    return made


def text_width(model: Any) -> int | None:
    """Width of the text conditioning that a MODEL wants; None where its configuration does not say."""
    config = model.model.model_config.unet_config
    for key in ("context_dim", "context_in_dim", "cap_feat_dim", "joint_attention_dim"):
        if config.get(key) is not None:
            return int(config[key])
    embedder = (config.get("context_embedder_config") or {}).get("params", {})
    return None if embedder.get("in_features") is None else int(embedder["in_features"])


def lacks_pooled(model: Any, options: dict[str, Any]) -> bool:
    """Whether conditioning with these options lacks the pooled text that a MODEL cannot run without.

    Stable Diffusion 3 needs it; Flux networks, in hosts before 2026, that it is named at all.
    """
    config = model.model.model_config.unet_config
    if is_flow(model) and config.get("adm_in_channels"):
        return options.get("pooled_output") is None
    return bool(config.get("vec_in_dim")) and "pooled_output" not in options


def notes(model: Any, positive: Sequence[Any]) -> list[str]:
    """What is to be known of a run with a MODEL and its conditioning."""
    config, found = model.model.model_config.unet_config, []
    patch = sampling_patch(model)
    # By its kind: in a model that is loaded the patch stands in the place of its own levels.
    if patch is not None and _flows(patch) != (kind_of(model) in ("FLOW", "FLUX")):
        found.append(
            f"warning: {schedule.origin(patch)} makes a {'flow' if _flows(patch) else 'diffusion'} model of this one; "
            "that is right only for a checkpoint that was trained so: else take that node off"
        )
    if _is_flux(config) and config.get("guidance_embed"):
        given = next((item[1]["guidance"] for item in positive if item[1].get("guidance") is not None), None)
        source = "ComfyUI's default; FluxGuidance sets another" if given is None else "from the conditioning"
        found.append(f"guidance embedding {DEFAULT_GUIDANCE if given is None else float(given):g} ({source})")
    if config.get("image_model") == "flux" and not config.get("guidance_embed"):
        found.append(
            "warning: a distilled model (Flux.1 schnell): the inversion is exact, but its path is not the one it was "
            "distilled from; a base model follows the photograph better"
        )
    return found
