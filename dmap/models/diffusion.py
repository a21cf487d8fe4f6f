"""A latent diffusion model as the method needs it, outside a host: denoiser, autoencoder, noise levels."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..memory.blocks import Denoising
from ..memory.decoding import Decoding
from ..memory.plan import free_bytes
from ..method.chain import Decoder
from ..method.denoiser import Denoiser, from_network
from ..method.schedule import Schedule, flow_table, scaled_linear_betas, sigmas_from_betas
from . import Autoencoder, LatentDenoiser, load_model
from .denoiser import FLOW_TIME


@dataclass(frozen=True)
class LatentDiffusion:
    """Frozen networks behind plain functions; their inputs and outputs are float32 whatever the networks' dtype.

    Attributes:
        denoise: D(u, sigma).
        encode: image (B, 3, h, w) in [0, 1], sides multiples of ``multiple`` -> clean latent.
        decode: clean latent -> image (B, 3, h, w), nominally in [0, 1], not clamped.
        table: (T,) increasing noise levels.
        multiple: pixels a latent position; an image's sides must be multiples of it.
        device: where the networks are.
        decoder: the network behind ``decode``.
        modules: all networks.
        room: is told how many bytes would be welcome on the device and returns how many are free, None if it cannot
            tell; None = ask the device.
        flow: whether the model is one of flow matching, and its table that of ``flow_table``.
        network: the network behind ``denoise``; None if it is unknown.
        keeps: whether a call with a gradient gives the same values as one without; not so with quantised weights.
    """

    denoise: Denoiser
    encode: Callable[[Tensor], Tensor]
    decode: Decoder
    table: Tensor
    multiple: int
    device: torch.device
    decoder: nn.Module
    modules: tuple[nn.Module, ...] = ()
    room: Callable[[int], int | None] | None = None
    flow: bool = False
    network: nn.Module | None = None
    keeps: bool = True

    def schedule(self, steps: int, strength: float) -> Schedule:
        """The levels of a chain; ``Schedule.from_table`` says more.

        Raises:
            UserError: for values out of range.
        """
        return Schedule.from_table(self.table, steps, strength, flow=self.flow)

    def denoising(self) -> Denoising:
        """The denoiser at its full memory, for one ascent that may lighten it."""
        return Denoising(self.denoise, self.network)

    def decoding(self) -> Decoding:
        """The decoder at its full memory, for one ascent that may lighten it."""
        return Decoding(self.decode, self.decoder)

    def free(self, wanted: int) -> int | None:
        """Bytes that are free on the device; ``wanted`` would be welcome."""
        return free_bytes(self.device) if self.room is None else self.room(wanted)


def shipped(
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    denoiser: str | os.PathLike[str] = "demo_denoiser",
) -> LatentDiffusion:
    """The small models that come with the pack.

    Args:
        device, dtype: of the networks.
        denoiser: name of a shipped denoiser, or path of one that the recipes made; of diffusion or of flow matching.

    Raises:
        UserError: if their files are missing or damaged.
    """
    autoencoder = load_model("demo_autoencoder", kind="autoencoder", dtype=dtype).requires_grad_(False).to(device)
    assert isinstance(autoencoder, Autoencoder)
    network = load_model(denoiser, kind="denoiser", dtype=dtype).requires_grad_(False).to(device)
    assert isinstance(network, LatentDenoiser)
    flow = network.prediction == "flow"
    # As precise as a host keeps them.
    table = (flow_table() if flow else sigmas_from_betas(scaled_linear_betas())).float()

    def encode(image: Tensor) -> Tensor:
        return autoencoder.encode((image * 2 - 1).to(dtype)).float()

    def decode(latent: Tensor) -> Tensor:
        return (autoencoder.decode(latent.to(dtype)).float() + 1) / 2

    faster = network.to(memory_format=torch.channels_last)
    denoise = from_network(faster, network.prediction, table, dtype, FLOW_TIME)
    modules = (network, autoencoder)
    return LatentDiffusion(
        denoise,
        encode,
        decode,
        table,
        Autoencoder.downscale,
        torch.device(device),
        autoencoder,
        modules,
        None,
        flow,
        network,
    )
