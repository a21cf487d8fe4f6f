"""How much memory a backward pass needs, measured, and what an out-of-memory error is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .decoding import Decoding
from .gradients import GradientStrategy, make_gradient

SHARE = 0.7
"""Of the free memory that is planned with; the rest is for workspaces and fragmentation."""

PROBE = 32
"""Side in latent positions of the part that is decoded to measure the decoder."""


def saved_bytes(function: Callable[..., Tensor], *inputs: Tensor, weights: Iterable[nn.Module] = ()) -> int:
    """Bytes that autograd keeps between the forward and the backward pass of one call.

    Args:
        function: returns one tensor. On meta tensors nothing is computed, so any size can be asked for.
        inputs: floating tensors, with respect to which a gradient is wanted.
        weights: modules whose own parameters and buffers are not counted. Copies of them that a call makes are.
    """
    # Storages are told apart by identity: meta tensors have no address. The list keeps them from being reused.
    own = {t.untyped_storage()._cdata for m in weights for t in (*m.parameters(), *m.buffers())}
    seen: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            seen[storage._cdata] = storage
        return tensor

    with torch.inference_mode(False), torch.enable_grad():
        leaves = [x.detach().clone().requires_grad_(True) for x in inputs]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            function(*leaves)
    return sum(storage.nbytes() for storage in seen.values())


@dataclass(frozen=True)
class Needs:
    """Bytes that one evaluation keeps for its backward pass.

    Attributes:
        call: by one call of the network.
        decode: by the decoder.
    """

    call: int
    decode: int

    def peak(self, kept: int) -> int:
        """At once, with so many calls kept: they are there together with what the decoder saved."""
        return max(kept * self.call + self.decode, self.call)

    def kept(self, free: int) -> int:
        """How many calls can be kept within ``SHARE`` of the free bytes."""
        return max(0, int(SHARE * free - self.decode) // max(self.call, 1))


def free_bytes(device: torch.device) -> int:
    """Free memory of a device; 0 where it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def plan(
    name: str,
    network: Callable[[Tensor], Tensor],
    decoding: Decoding,
    latent: Tensor,
    calls: int,
    free: int,
    weights: Iterable[nn.Module] = (),
) -> tuple[GradientStrategy, str]:
    """Choose how many calls are kept, and the decoder's level, so that an ascent step fits into the free memory.

    Args:
        name: the gradient strategy.
        network: one call at the ascent's shape; it is run once with its activations.
        decoding: run once on a part of the latent; its level is raised as far as needed.
        latent: (B, C, H, W) as the ascent decodes it.
        calls: network calls in an evaluation.
        free: bytes.
        weights: as in ``saved_bytes``.

    Returns:
        The strategy, and what was measured and chosen, in words.
    """
    part = latent[..., :PROBE, :PROBE]
    scale = latent[0, 0].numel() / part[0, 0].numel()
    whole = int(saved_bytes(decoding, part, weights=weights) * scale)
    while decoding.needs(whole, latent) > SHARE * free and decoding.lighter():
        pass
    try:
        call = saved_bytes(network, latent, weights=weights)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        call = free
    needs = Needs(call, decoding.needs(whole, latent))
    strategy = make_gradient(name, min(needs.kept(free), calls))
    kept = min(strategy.kept, calls)
    return strategy, (
        f"memory for gradients: about {gib(needs.peak(kept))} of {gib(free)} free (a network call {gib(needs.call)}, "
        f"{kept} of {calls} kept; the decoder {gib(needs.decode)}, {decoding.name})"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator's or the CPU's allocator found no memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def gib(number: float) -> str:
    """Bytes as people read them."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
