"""Types of the pack's own sockets."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io
from torch import Tensor

from ..dmap.degradations import Degradation
from ..dmap.image.layout import Layout
from ..dmap.method.trace import Trace
from .host.session import HostPath, HostPrior, HostSafeguards

PathSocket = io.Custom("DMAP_PATH")
PriorSocket = io.Custom("DMAP_PRIOR")
PriorsSocket = io.Custom("DMAP_PRIORS")
TraceSocket = io.Custom("DMAP_TRACE")
DegradationSocket = io.Custom("DMAP_DEGRADATION")
RegionsSocket = io.Custom("DMAP_REGIONS")
SafeguardsSocket = io.Custom("DMAP_SAFEGUARDS")
TilesSocket = io.Custom("DMAP_TILES")


@runtime_checkable
class _Vae(Protocol):
    """What packs hand on as a VAE."""

    first_stage_model: Any
    patcher: Any


SOCKET_TYPES: dict[str, Any] = {
    "IMAGE": Tensor,
    "MASK": Tensor,
    "LATENT": dict,
    "CONDITIONING": list,
    "MODEL": ModelPatcher,
    "VAE": _Vae,
    "DMAP_PATH": HostPath,
    "DMAP_PRIOR": HostPrior,
    "DMAP_PRIORS": tuple,
    "DMAP_TRACE": Trace,
    "DMAP_DEGRADATION": Degradation,
    "DMAP_REGIONS": tuple,
    "DMAP_SAFEGUARDS": HostSafeguards,
    "DMAP_TILES": Layout,
}
"""What comes by links of these types; a link may bring anything, such as a list."""
