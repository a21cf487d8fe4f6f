"""Which quality models are kin: what they are made of, so that none is taken for another's independent judge.

Kin are models that share a weight file, or begin with the same pretrained network or the same hand-made statistics. A
model of this list that was trained on other data or by other people stays kin of its backbone: what the backbone cannot
see none of them sees. What a list cannot know is measured: ``dmap.compare.kinship`` correlates gradients.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

_MSCN = "locally normalised luminance (MSCN) statistics"
_OWN = "dmap QualityNet"

BACKBONES: dict[str, tuple[str, ...]] = {
    "dmap_quality": (_OWN,),
    "dmap_guide": (_OWN,),
    "dmap_policy": (_OWN,),
    "dmap_nss": (_MSCN,),
    "dmap_spectrum": ("radial spectrum",),
    "dmap_judge": ("differences at three scales",),
    "pyiqa:afine_nr": ("CLIP ViT-B/32",),
    "pyiqa:arniqa": ("ARNIQA ResNet-50",),
    "pyiqa:brisque": (_MSCN,),
    "pyiqa:clipiqa": ("CLIP ResNet-50",),
    "pyiqa:clipiqa+_vitL14_512": ("CLIP ViT-L/14",),
    "pyiqa:clipscore": ("CLIP ViT-B/32",),
    "pyiqa:cnniqa": ("CNNIQA",),
    "pyiqa:compare2score": ("mPLUG-Owl2",),
    "pyiqa:dbcnn": ("VGG-16 of ImageNet",),
    "pyiqa:entropy": ("entropy",),
    "pyiqa:fgresq": ("CLIP ViT-B/16",),
    "pyiqa:fid": ("Inception-v3",),
    "pyiqa:fid_dinov2": ("DINOv2",),
    "pyiqa:hyperiqa": ("ResNet-50 of ImageNet",),
    "pyiqa:ilniqe": (_MSCN,),
    "pyiqa:inception_score": ("Inception-v3",),
    "pyiqa:laion_aes": ("CLIP ViT-L/14",),
    "pyiqa:liqe": ("CLIP ViT-B/32",),
    "pyiqa:maclip": ("CLIP ResNet-50",),
    "pyiqa:maniqa": ("ViT-B/8 of ImageNet",),
    "pyiqa:metaiqa": ("ResNet-18 of ImageNet",),
    "pyiqa:musiq": ("MUSIQ of ImageNet",),
    "pyiqa:nima": ("Inception-ResNet-v2 of ImageNet",),
    "pyiqa:nima-vgg16": ("VGG-16 of ImageNet",),
    "pyiqa:niqe": (_MSCN,),
    "pyiqa:nrqm": ("NRQM",),
    "pyiqa:paq2piq": ("ResNet-18 of ImageNet",),
    "pyiqa:pi": ("NRQM", _MSCN),
    "pyiqa:piqe": ("block distortion (PIQE)",),
    "pyiqa:qalign": ("mPLUG-Owl2",),
    "pyiqa:qrealign": ("Qwen-VL",),
    "pyiqa:qualiclip": ("CLIP ResNet-50",),
    "pyiqa:sfid": ("Inception-v3",),
    "pyiqa:topiq": ("ResNet-50 of ImageNet",),
    "pyiqa:topiq_iaa": ("Swin-B of ImageNet",),
    "pyiqa:topiq_iaa_res50": ("ResNet-50 of ImageNet",),
    "pyiqa:topiq_nr_swin": ("Swin-B of ImageNet",),
    "pyiqa:tres": ("ResNet-50 of ImageNet",),
    "pyiqa:unique": ("ResNet-34 of ImageNet",),
    "pyiqa:uranker": ("CoaT",),
    "pyiqa:wadiqam_nr": ("WaDIQaM",),
}
"""Beginning of a prior's name -> the pretrained networks or statistics that it begins with; the longest one counts."""


def backbones(name: str) -> tuple[str, ...]:
    """What the prior of that name begins with; empty for a name that the list does not know."""
    families = [family for family in BACKBONES if name.startswith(family)]
    return BACKBONES[max(families, key=len)] if families else ()


@functools.cache
def _files() -> dict[str, tuple[str, ...]]:
    """Addresses of weight files by metric, as ``measured.json`` has them."""
    content = json.loads(Path(__file__).with_name("measured.json").read_text(encoding="utf-8"))
    return {name: tuple(row.get("files", ())) for name, row in content["metrics"].items()}


def traits(name: str) -> frozenset[str]:
    """All that makes a prior kin of another: its own name, its backbones and its weight files."""
    files = _files().get(name.removeprefix("pyiqa:"), ()) if name.startswith("pyiqa:") else ()
    return frozenset((name, *backbones(name), *files))


def related(names: set[str], others: set[str]) -> bool:
    """Whether any of some priors is kin of any of others."""
    mine = frozenset[str]().union(*map(traits, names))
    theirs = frozenset[str]().union(*map(traits, others))
    return not mine.isdisjoint(theirs)
