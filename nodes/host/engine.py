"""The host's model as the diffusion model of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from comfyui_version import __version__ as host_version
from torch import Tensor

from ...dmap.compare.inputs import Photograph, shown
from ...dmap.compare.plan import Plan
from ...dmap.fingerprint import checksum
from ...dmap.image.photograph import Photograph as Restorable
from ...dmap.method.path import LatentPath
from .identity import identity
from .session import HostPath, Session


class HostEngine:
    """Paths that DMAP Invert made, one a photograph.

    Args:
        host: the running session.
        path: of the batch.
        photographs: the batch, in the same order.
        print: stands for what all of them share, see ``shared_print``.
    """

    software: Mapping[str, str] = {"comfyui": host_version}

    def __init__(self, host: Session, path: LatentPath, photographs: Sequence[Photograph], print: str) -> None:  # noqa: A002
        self.model, self._path, self.device = host.model, path, host.model.device
        self._place = {_key(photograph.pixels): index for index, photograph in enumerate(photographs)}
        self.fingerprint = print

    def start(self, photograph: Tensor) -> str:
        """Stands for all that the photograph's own path holds."""
        return identity(self._path.image(self._place[_key(photograph)]))

    def path(self, photograph: Tensor, plan: Plan) -> LatentPath:
        """The inverted photograph (1, 3, h, w) in [0, 1]."""
        one = self._path.image(self._place[_key(photograph)]).to(self.device)
        return replace(one, photograph=Restorable(photograph))


def shared_print(path: HostPath, vae: Any) -> str:
    """Stands for what every ascent of a comparison shares: model, VAE, conditioning, solver and schedule.

    To be asked outside of a session: inside one the host's objects are in use.
    """
    one = path.path
    return identity(path.model, vae, path.positive, one.solver, one.settings, one.schedule.sigmas)


def photographs_of(batch: Tensor) -> list[Photograph]:
    """A batch (B, 3, h, w) as a comparison's photographs, named by their places."""
    return [Photograph(f"image {index + 1}", _key(one[None]), one[None]) for index, one in enumerate(batch.cpu())]


def _key(image: Tensor) -> str:
    return checksum([shown(image).mul(255).round().byte().cpu()])
