"""Images between the host's sockets and dmap, and what is shown or kept of them."""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
import numpy as np
import torch
from PIL import Image
from server import PromptServer
from torch import Tensor, nn

from ...dmap.errors import UserError
from ...dmap.image.photograph import picture_values
from ...dmap.output import keep, replacing
from . import features

PREVIEW_SIDE = 512


def from_image_socket(image: Tensor, node: str, socket: str) -> Tensor:
    """IMAGE (B, H, W, 1, 3 or 4) -> (B, 3, H, W) float32 in [0, 1]; grey is repeated, alpha is dropped.

    Raises:
        UserError: for other shapes, or values that are not a picture's.
    """
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or not image.numel():
        got = f"shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise UserError(f"{node}, socket '{socket}': got {got}; connect an IMAGE with 1, 3 or 4 channels")
    return channels_first(image, node, socket)[:, :3].clamp(0, 1)


def channels_first(image: Tensor, node: str, socket: str) -> Tensor:
    """IMAGE (B, H, W, 1, 3 or 4) -> (B, 3 or 4, H, W) float32 with values and alpha as they are; grey is repeated.

    Raises:
        UserError: for values that are not a picture's.
    """
    pixels = values_of(image.movedim(-1, 1), node, socket).clone(memory_format=torch.contiguous_format)
    return pixels.repeat(1, 3, 1, 1) if pixels.shape[1] == 1 else pixels


def values_of(x: Tensor, node: str, socket: str) -> Tensor:
    """The values of an IMAGE or a MASK as ``picture_values`` reads them; its errors name node and socket."""
    try:
        return picture_values(x).float()
    except UserError as error:
        raise error.within(f"{node}, socket '{socket}': ") from error


def to_image_socket(image: Tensor) -> Tensor:
    """(B, C, H, W) -> IMAGE (B, H, W, C), on the host's device for results."""
    shown = image.detach().movedim(1, -1).float()
    return shown.to(comfy.model_management.intermediate_device()).contiguous()


def to_pil(image: Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] -> an 8-bit picture."""
    array = image.detach().clamp(0, 1).mul(255).round().byte().movedim(0, -1).cpu().numpy()
    return Image.fromarray(np.ascontiguousarray(array))


@contextlib.contextmanager
def named_errors(node: str) -> Iterator[None]:
    """Put the node's name before an error about one of its values."""
    try:
        yield
    except UserError as error:  # every other one is a fault of the program
        if str(error).startswith(node):
            raise
        raise error.within(f"{node}, ") from error
    except MemoryError as error:
        raise MemoryError(f"{node}, {error}") from error


class Progress:
    """The node's progress bar with a preview of the first image."""

    def __init__(self, total: int) -> None:
        self.bar = comfy.utils.ProgressBar(total)

    def of(self, done: int, total: int) -> None:
        """Show ``done`` of a total that was not known before."""
        self.bar.update_absolute(done, total)

    def update(self, done: int, image: Tensor | None = None) -> None:
        """Show ``done`` of the total, and the image (B, 3, H, W) if one is given."""
        preview = None
        if image is not None and features.previews_wanted():
            one = image[:1, :3]
            scale = PREVIEW_SIDE / max(one.shape[-2:])
            if scale < 1:  # before it becomes a picture: a large one would take longer than the iteration
                one = nn.functional.interpolate(one, scale_factor=scale, mode="area")
            preview = ("JPEG", to_pil(one[0]), PREVIEW_SIDE)
        self.bar.update_absolute(done, preview=preview)


def show_text(node_id: str | None, text: str) -> None:
    """Show a line of text on a node while the graph runs."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and node_id is not None:
        server.send_progress_text(text, node_id)


def save_rescued(image: Tensor, prefix: str) -> list[str]:
    """Write (B, 3, H, W) as PNG files into the host's output folder, or the system's temporary one if that fails.

    Returns:
        A sentence a file: where it is. Nothing is raised: what ended the ascent is to be heard of, not this.
    """
    height, width = image.shape[-2:]
    try:
        folder, name, counter, _, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory(), width, height
        )
    except Exception as error:  # the host makes folders and reads names there
        logging.warning("ComfyUI-DMAP: the output folder cannot be used: %s", error)
        folder, name, counter = tempfile.gettempdir(), prefix, 1
    said: list[str] = []
    for index, one in enumerate(image):
        file = Path(folder) / f"{name}_{counter + index:05}_.png"
        elsewhere: list[str] = []
        try:
            place = keep(functools.partial(_write, one), file, elsewhere.append)
        except OSError as error:
            said.append(f"the best image so far could not be saved anywhere ({error})")
        else:
            shown = f"output/{place.name}" if place == file else str(place)
            said += elsewhere or [f"the best image so far is also in {shown}"]
    return said


def _write(picture: Tensor, file: Path) -> None:
    with replacing(file) as new:
        to_pil(picture).save(new, "PNG")
