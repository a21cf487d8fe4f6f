"""The shipped models as the diffusion model of a comparison without a host."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..method.chain import Chain, checkpoint_calls, keep_activations
from ..method.solvers import make_solver
from ..models import load_model
from ..models.diffusion import shipped
from .inputs import checksum
from .plan import Plan

KEPT_PIXELS = 512 * 512
"""Up to this size all activations are kept, which is faster; above, one network call's at a time."""


class ShippedEngine:
    """The pack's denoiser and autoencoder.

    Args:
        device: where to compute.
        dtype: of the networks.
    """

    software: Mapping[str, str] = {}  # no more than the comparison records anyway

    def __init__(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.models = shipped(device, dtype)
        self.device, self.multiple = self.models.device, self.models.multiple
        networks = [load_model(name) for name in ("demo_autoencoder", "demo_denoiser")]
        self.fingerprint = checksum(value for network in networks for value in network.state_dict().values())

    def chain(self, photograph: Tensor, plan: Plan) -> Chain:
        schedule = self.models.schedule(plan.steps, plan.strength)
        path = make_solver(plan.solver).invert(self.models.denoise, schedule, self.models.encode(photograph))
        gradient = keep_activations if photograph[0, 0].numel() <= KEPT_PIXELS else checkpoint_calls
        return Chain(path, self.models.denoise, self.models.decode, gradient)
