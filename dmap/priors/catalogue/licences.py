"""Under which terms each metric's authors publish it: what their own repository says of code and weights.

pyiqa's version of every metric, and the weights that it re-trained, are under pyiqa's own terms as well.
"""

from __future__ import annotations

UNKNOWN = "unknown"
_LIVE = "any use, with credit (LIVE, UT Austin)"
_PYIQA = "pyiqa's own work"

_FAMILIES = {
    "afine_nr": ("Apache-2.0", "github.com/ChrisDud0257/AFINE"),
    "arniqa": ("CC BY-NC 4.0", "github.com/miccunifi/ARNIQA"),
    "brisque": (_LIVE, "github.com/utlive/BRISQUE"),
    "clipiqa": ("S-Lab 1.0, noncommercial", "github.com/IceClear/CLIP-IQA"),
    "clipscore": ("MIT", "github.com/jmhessel/clipscore"),
    "cnniqa": (UNKNOWN, "github.com/lidq92/CNNIQA"),
    "compare2score": ("MIT", "github.com/Q-Future/Compare2Score"),
    "dbcnn": ("MIT", "github.com/zwx8981/DBCNN-PyTorch"),
    "entropy": (_PYIQA, ""),
    "fgresq": ("Apache-2.0", "github.com/sxfly99/FGResQ"),
    "fid": ("MIT", "github.com/GaParmar/clean-fid"),
    "fid_dinov2": ("Apache-2.0", "github.com/facebookresearch/dinov2"),
    "hyperiqa": ("MIT", "github.com/SSL92/hyperIQA"),
    "ilniqe": ("MIT", "github.com/IceClear/IL-NIQE"),
    "inception_score": ("MIT", "github.com/sbarratt/inception-score-pytorch"),
    "laion_aes": ("Apache-2.0", "github.com/christophschuhmann/improved-aesthetic-predictor"),
    "liqe": ("MIT", "github.com/zwx8981/LIQE"),
    "maclip": (UNKNOWN, "github.com/zhix000/MA-CLIP"),
    "maniqa": ("Apache-2.0", "github.com/IIGROUP/MANIQA"),
    "metaiqa": (UNKNOWN, "github.com/zhuhancheng/MetaIQA"),
    "musiq": ("Apache-2.0", "github.com/google-research/google-research/tree/master/musiq"),
    "nima": ("MIT", "github.com/yunxiaoshi/Neural-IMage-Assessment"),
    "niqe": (_LIVE, "github.com/utlive/niqe"),
    "nrqm": ("MIT", "github.com/chaoma99/sr-metric"),
    "paq2piq": ("MIT", "github.com/baidut/paq2piq"),
    "pi": (UNKNOWN, "github.com/roimehrez/PIRM2018"),
    "piqe": ("MIT", "github.com/michael-rutherford/pypiqe"),
    "qalign": ("MIT", "github.com/Q-Future/Q-Align"),
    "qrealign": (UNKNOWN, "github.com/Q-Future/Q-ReAlign"),
    "qualiclip": ("CC BY-NC 4.0", "github.com/miccunifi/QualiCLIP"),
    "sfid": (UNKNOWN, ""),
    "topiq": (_PYIQA, "github.com/chaofengc/IQA-PyTorch"),
    "tres": ("noncommercial research (Carnegie Mellon)", "github.com/isalirezag/TReS"),
    "unique": ("Apache-2.0", "github.com/zwx8981/UNIQUE"),
    "uranker": ("CC BY-NC 4.0", "github.com/RQ-Wu/UnderwaterRanker"),
    "wadiqam_nr": ("MIT", "github.com/dmaniry/deepIQA"),
}
"""Beginning of a metric's name -> (licence, the repository that states it, or states none)."""


def licence_of(metric: str) -> tuple[str, str]:
    """(The licence that the metric's authors state, the address of their repository or "").

    The licence is ``UNKNOWN`` where the repository states none.
    """
    families = [family for family in _FAMILIES if metric.startswith(family)]
    return _FAMILIES[max(families, key=len)] if families else (UNKNOWN, "")
