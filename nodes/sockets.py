"""Types of the pack's own sockets."""

from __future__ import annotations

from comfy_api.latest import io

PathSocket = io.Custom("DMAP_PATH")
PriorSocket = io.Custom("DMAP_PRIOR")
TraceSocket = io.Custom("DMAP_TRACE")
DegradationSocket = io.Custom("DMAP_DEGRADATION")
RegionsSocket = io.Custom("DMAP_REGIONS")
SafeguardsSocket = io.Custom("DMAP_SAFEGUARDS")
TilesSocket = io.Custom("DMAP_TILES")
