"""The pack's nodes."""

from __future__ import annotations

from comfy_api.latest import io

from .compose import DMAPMixPriors, DMAPMultiScalePrior, DMAPRobustPrior
from .decode import DMAPDecode
from .demo import DMAPLoadDemoModels
from .files import DMAPLoadPath, DMAPSavePath
from .invert import DMAPInvert
from .optimize import DMAPOptimize
from .plot import DMAPPlotTrace
from .prior import DMAPLoadPrior
from .score import DMAPScoreImages

NODES: list[type[io.ComfyNode]] = [
    DMAPInvert,
    DMAPLoadPrior,
    DMAPOptimize,
    DMAPDecode,
    DMAPLoadDemoModels,
    DMAPPlotTrace,
    DMAPMixPriors,
    DMAPMultiScalePrior,
    DMAPRobustPrior,
    DMAPScoreImages,
    DMAPSavePath,
    DMAPLoadPath,
]
