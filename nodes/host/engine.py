"""The host's model as the diffusion model of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from comfyui_version import __version__ as host_version
from torch import Tensor

from ...dmap.compare.inputs import Photograph, shown
from ...dmap.compare.plan import Plan
from ...dmap.fingerprint import checksum, digest
from ...dmap.image.photograph import Photograph as Restorable
from ...dmap.method.path import LatentPath
from .session import Session


class HostEngine:
    """Paths that DMAP Invert made, one a photograph.

    Args:
        host: the running session.
        path: of the batch.
        photographs: the batch, in the same order.
        model, vae: the host's, to tell them from others.
    """

    software: Mapping[str, str] = {"comfyui": host_version}

    def __init__(
        self, host: Session, path: LatentPath, photographs: Sequence[Photograph], model: Any, vae: Any
    ) -> None:
        self.model, self._path, self.device = host.model, path, host.model.device
        self._place = {_key(photograph.pixels): index for index, photograph in enumerate(photographs)}
        solver = [path.solver, path.settings, path.schedule.sigmas.tolist()]
        self.fingerprint = digest([solver, [_sample(patcher) for patcher in (model, vae.patcher)]])

    def path(self, photograph: Tensor, plan: Plan) -> LatentPath:
        """The inverted photograph (1, 3, h, w) in [0, 1]."""
        one = self._path.image(self._place[_key(photograph)]).to(self.device)
        return replace(one, photograph=Restorable(photograph))


def photographs_of(batch: Tensor) -> list[Photograph]:
    """A batch (B, 3, h, w) as a comparison's photographs, named by their places."""
    return [Photograph(f"image {index + 1}", _key(one[None]), one[None]) for index, one in enumerate(batch.cpu())]


def _key(image: Tensor) -> str:
    return checksum([shown(image).mul(255).round().byte().cpu()])


def _sample(patcher: Any) -> list[Any]:
    """Stands for a model's weights and patches without reading gigabytes: a few values of every tensor."""
    state = patcher.model.state_dict()
    values = [[name, list(tensor.shape), tensor.flatten()[:4].float().cpu().tolist()] for name, tensor in state.items()]
    patches = sorted((str(name), [float(patch[0]) for patch in found]) for name, found in patcher.patches.items())
    return [values, patches]
