"""The pack's nodes."""

from __future__ import annotations

from comfy_api.latest import io

from .check import DMAPSelfCheck
from .clean import DMAPCleanPhoto
from .compare import DMAPCompare
from .compose import DMAPMixPriors, DMAPMultiScalePrior, DMAPRobustPrior
from .decode import DMAPDecode
from .degradation import (
    DMAPDegradationBlur,
    DMAPDegradationDownscale,
    DMAPDegradationInpaint,
    DMAPDegradationJPEG,
    DMAPDegradationMotion,
)
from .demo import DMAPLoadDemoModels
from .encode import DMAPEncode
from .files import DMAPLoadPath, DMAPSavePath
from .host.features import note_untried
from .host.files import register_iqa_folder
from .invert import DMAPInvert
from .optimize import DMAPOptimize
from .options import DMAPRegion, DMAPSafeguards, DMAPTiles
from .plot import DMAPPlotTrace
from .prior import DMAPLoadPrior
from .priorlist import DMAPListPriors
from .score import DMAPScoreImages

register_iqa_folder()
note_untried()

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
    DMAPCompare,
    DMAPSavePath,
    DMAPLoadPath,
    DMAPEncode,
    DMAPRegion,
    DMAPSafeguards,
    DMAPTiles,
    DMAPDegradationDownscale,
    DMAPDegradationBlur,
    DMAPDegradationMotion,
    DMAPDegradationJPEG,
    DMAPDegradationInpaint,
    DMAPSelfCheck,
    DMAPCleanPhoto,
    DMAPListPriors,
]
