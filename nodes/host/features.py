"""What ComfyUI does differently from version to version: the one place that knows, and since when.

Every feature is found by asking the host for it, never by comparing version numbers.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import comfy.cli_args
import comfy.model_management
import comfyui_version
import torch
from torch import Tensor

from ...dmap.errors import UserError

HOST_VERSION = str(comfyui_version.__version__)
TRIED = ("0.3.75", "0.33.0")
"""Hosts that the host tests were run on."""

NO_HOOKS = (
    "socket 'model': with dynamic VRAM ComfyUI can schedule LoRAs (hooks) only on models of its own loaders; load the "
    "model with Load Checkpoint or Load Diffusion Model, or start ComfyUI with --disable-dynamic-vram"
)
NO_PAGES = (
    "socket 'model': this ComfyUI does not hand out weights that it pages (dynamic VRAM); update ComfyUI, or start it "
    "with --disable-dynamic-vram"
)
NO_GRADIENT = (
    "socket 'model': this ComfyUI computes a part of the model by {}, an operation without a gradient, so nothing can "
    "be optimised through it; update ComfyUI, or use another model"
)


def knows(schema: type, name: str) -> bool:
    """Whether a schema or an input of the host takes a name; 0.3.75 has neither ``search_aliases`` nor ``advanced``."""
    return name in inspect.signature(schema).parameters


def note_untried() -> None:
    """Say in the log, once at start, that nobody has tried the pack on this host."""
    if HOST_VERSION not in TRIED:
        logging.info(
            "ComfyUI-DMAP was tested on ComfyUI %s; this is %s. The template self_check shows whether it works here.",
            " and ".join(TRIED),
            HOST_VERSION,
        )


@contextlib.contextmanager
def differentiable_operations() -> Iterator[None]:
    """Have the host's networks use operations that have a gradient.

    Since 0.8 rotary embeddings are custom operations without one; since 0.14 ``in_training`` selects plain ones, whose
    values are the same to the bit.
    """
    management = comfy.model_management
    if not hasattr(management, "in_training"):
        yield
        return
    before = management.in_training
    management.in_training = True
    try:
        yield
    finally:
        management.in_training = before


def lacks_gradient(network: Any) -> bool:
    """Whether this host computes a network's attention by operations without a gradient: 0.8 to 0.13, transformers.

    Args:
        network: the diffusion model. U-Nets have no rotary embeddings.
    """
    if hasattr(comfy.model_management, "in_training") or "comfy_kitchen" not in sys.modules:
        return False
    return type(network).__module__.startswith("comfy.ldm.") and not hasattr(network, "input_blocks")


def without_gradient(error: BaseException) -> str | None:
    """Name of the operation without a gradient that stopped a backward pass; None if the error is another one."""
    found = re.search(r"backward through (\S+) but no autograd formula", str(error))
    return None if found is None else found[1]


def is_multigpu_clone(model: Any) -> bool:
    """Whether a MODEL is spread over several GPUs (2026): the host runs it without gradients."""
    return bool(getattr(model, "is_multigpu_base_clone", False))


RATIOS = {"Flux2": 16, "HunyuanImage21": 32}
"""Pixels a latent position of formats that do not say it themselves, as they do since 2026; of the others 8."""


def pixels_per_position(model: Any) -> int:
    """Pixels a side of a MODEL's latent position."""
    form = model.model.latent_format
    return int(getattr(form, "spacial_downscale_ratio", RATIOS.get(type(form).__name__, 8)))


def encodes_frames(vae: Any) -> bool:
    """Whether a VAE takes pictures for the frames of a video, of which one alone is a picture: Wan 2.1's."""
    return vae.latent_dim == 3 and type(vae.first_stage_model).__name__ == "WanVAE" and vae.latent_channels == 16


def is_quantised(network: Any) -> bool:
    """Whether a network computes with quantised weights: then values with and without a gradient differ a little."""
    return any(hasattr(tensor, "__tensor_flatten__") for tensor in network.parameters())


def is_dynamic(patcher: Any) -> bool:
    """Whether the host pages a network's weights in and out between calls (dynamic VRAM, 2026, default on NVIDIA)."""
    return bool(getattr(patcher, "is_dynamic", bool)())


def patched_weight(patcher: Any, name: str) -> Tensor:
    """A weight of a dynamic patcher's network on its device, LoRAs included; its state dict's value if it has none.

    Raises:
        UserError: if the host cannot be asked for it.
    """
    if "return_weight" not in inspect.signature(patcher.patch_weight_to_device).parameters:
        raise UserError(NO_PAGES)
    weight: Tensor = patcher.patch_weight_to_device(name, device_to=patcher.load_device, return_weight=True)
    return weight


def free_memory(patcher: Any, device: torch.device) -> int:
    """Bytes free on a device. With dynamic VRAM pages of other networks count: they go when memory is asked for."""
    if hasattr(patcher, "get_free_memory"):
        return int(patcher.get_free_memory(device))
    return int(comfy.model_management.get_free_memory(device))


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception says that the user asked to stop; an Exception in 0.3.75, a BaseException since 2026."""
    return isinstance(error, comfy.model_management.InterruptProcessingException)


def previews_wanted() -> bool:
    """Whether pictures may be shown while a node works; ``--preview-method none`` says no, and is the host's default.

    Since 2026 the browser's setting changes it from prompt to prompt.
    """
    method = getattr(comfy.cli_args.args, "preview_method", None)
    return getattr(method, "value", method) not in (None, "none")


def decodes_pictures(vae: Any) -> bool:
    """Whether a VAE's decoder gives -1..1 for an image's 0..1. Since 0.18 the host writes into the argument here."""
    probe = torch.tensor([-0.5, 0.0, 0.5])
    return bool(torch.equal(vae.process_output(probe.clone()), (probe + 1) / 2))


def crop_as_encoder(image: Tensor, vae: Any) -> Tensor:
    """Crop (B, C, H, W) as the host's VAE Encode does when sides are not multiples of the latent grid.

    The host is asked where it crops with a picture of coordinates: since 2026 it also drops and adds channels.
    """
    height, width = image.shape[-2:]
    rows = torch.arange(height, dtype=torch.float32).reshape(-1, 1).expand(height, width)
    columns = torch.arange(width, dtype=torch.float32).expand(height, width)
    places = vae.vae_encode_crop_pixels(torch.stack([rows, columns, rows], dim=-1)[None])[0]
    top, left = int(places[0, 0, 0]), int(places[0, 0, 1])
    return image[..., top : top + places.shape[0], left : left + places.shape[1]].clone()
