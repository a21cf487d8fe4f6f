"""The facts by hand: every no-reference metric of pyiqa, one line each.

Ranges are those in which photographs lie; where pyiqa's own statement is only a bound (NIQE: 0 to 100), the papers'
usual values stand here. How an image is taken in is what pyiqa's code does with it at test time, as the authors did.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WHOLE = "the whole image at its own size"
CLIP_WHOLE = "the whole image at its own size, without position embedding"


@dataclass(frozen=True)
class Metric:
    """Facts about a metric.

    Attributes:
        name: pyiqa's.
        source: paper, or who made it.
        scale: usual range of the raw score, (low, high).
        intake: crops, strides and resizing.
        higher_better: direction of the raw score.
        judges: what it was made for: quality of photographs, aesthetics, faces and so on.
        quick: options that make it smaller for measuring: fewer crops of the same kind.
        excluded: why it is not loaded whatever its gradient; "" if nothing speaks against it.
        note: what else was found about a metric that cannot be climbed.
    """

    name: str
    source: str
    scale: tuple[float, float]
    intake: str
    higher_better: bool = True
    judges: str = "quality"
    quick: dict[str, Any] = field(default_factory=dict)
    excluded: str = ""
    note: str = ""


_SETS = "it compares sets of images, it does not score one"
_LARGE = "parameters: too large for the memory beside a diffusion model"
_NO_GRADIENT = "its code turns the image into an 8-bit picture first, so there is no gradient"
_MUSIQ = "32 px patches of the image at its own size and with its longer side at 384 and 224 px"
_NIQE = "luma in blocks of 96 px, without overlap, at scales 1 and 1/2"
_CROPS = "{} crops of 224 px on a grid"
_SR = "super-resolved images"
_LIQE = "15 crops of 224 px, evenly out of a grid with stride 32"
_CENTRE = "shorter side resized to {} px, the middle"
_SCRIPT = "its regressor is a TorchScript program without a published SHA-256, which is never run"
_LANGUAGE = "the image as tokens of a language model"
_RESIZED = "the shorter side resized to 384 px"
_TWO = "whole image at scales 1 and 1/2"
_FACE = "the face found, aligned and resized to 512 px"

_ALL = (
    Metric("afine_nr", "A-FINE, Chen et al. 2025", (-2, 2), "whole image, sides multiples of 32", False),
    Metric("arniqa", "ARNIQA, Agnolucci et al. 2024; KonIQ", (0, 1), _TWO, excluded=_SCRIPT),
    *(
        Metric(f"arniqa-{data}", f"ARNIQA; {data}", (0, 1), _TWO, excluded=_SCRIPT)
        for data in ("clive", "csiq", "flive", "kadid", "live", "spaq", "tid")
    ),
    Metric("brisque", "BRISQUE, Mittal et al. 2012", (0, 80), "luma, whole image at scales 1 and 1/2", False),
    Metric("brisque_matlab", "BRISQUE, MATLAB's version", (0, 80), "luma, whole image at scales 1 and 1/2", False),
    Metric("clipiqa", "CLIP-IQA, Wang et al. 2023", (0, 1), CLIP_WHOLE),
    Metric("clipiqa+", "CLIP-IQA+, Wang et al. 2023", (0, 1), CLIP_WHOLE),
    Metric("clipiqa+_rn50_512", "CLIP-IQA+, ResNet-50", (0, 1), WHOLE),
    Metric("clipiqa+_vitL14_512", "CLIP-IQA+, ViT-L/14", (0, 1), WHOLE),
    Metric(
        "clipscore", "CLIPScore, Hessel et al. 2021", (0, 2.5), "224 px, centre", judges="text",
        excluded="it judges how an image fits a caption, not its quality",
    ),
    Metric("cnniqa", "CNNIQA, Kang et al. 2014; KonIQ", (0, 1), "whole image (trained on 32 px patches)"),
    Metric("compare2score", "Compare2Score, Zhu et al. 2024", (0, 100), _LANGUAGE, excluded=f"7 billion {_LARGE}"),
    Metric("dbcnn", "DBCNN, Zhang et al. 2020; KonIQ", (0, 1), WHOLE),
    Metric("entropy", "Shannon's entropy of the grey values", (4, 8), WHOLE, judges="contrast"),
    Metric(
        "fgresq", "FGResQ, 2025", (0, 1), "resized to 256x256, the middle 224x224", judges="restored images",
        note="with transformers 5.0.0 it is built and its gradient is exact, but its CLIP comes from a hub alone",
    ),
    Metric("fid", "FID, Heusel et al. 2017", (0, 100), "sets", False, "sets", excluded=_SETS),
    Metric("fid_dinov2", "FID on DINOv2", (0, 1000), "sets", False, "sets", excluded=_SETS),
    Metric("hyperiqa", "HyperIQA, Su et al. 2020; KonIQ", (0, 1), _CROPS.format(25), quick={"num_crop": 4}),
    Metric("ilniqe", "IL-NIQE, Zhang et al. 2015", (15, 80), "resized to 524x524, blocks of 84 px", False),
    Metric("inception_score", "Inception Score, Salimans et al. 2016", (1, 20), "sets", True, "sets", excluded=_SETS),
    Metric("laion_aes", "LAION aesthetics predictor, 2022", (1, 10), _CENTRE.format(224), judges="aesthetics"),
    Metric("liqe", "LIQE, Zhang et al. 2023; KonIQ", (1, 5), _LIQE),
    Metric("liqe_mix", "LIQE, Zhang et al. 2023; six data sets", (1, 5), _LIQE),
    Metric("maclip", "MA-CLIP, 2025", (0, 1), "crops of 224 px with stride 128, and the whole at 224 px"),
    Metric("maniqa", "MANIQA, Yang et al. 2022; KonIQ", (0, 1), _CROPS.format(20), quick={"test_sample": 1}),
    Metric("maniqa-kadid", "MANIQA; KADID", (0, 1), _CROPS.format(20), quick={"test_sample": 1}),
    Metric("maniqa-pipal", "MANIQA; PIPAL", (0, 1), _CROPS.format(20), quick={"test_sample": 1}),
    Metric("metaiqa", "MetaIQA, Zhu et al. 2020", (0, 1), "resized to 224x224"),
    Metric("musiq", "MUSIQ, Ke et al. 2021; KonIQ", (0, 100), _MUSIQ),
    Metric("musiq-ava", "MUSIQ; AVA", (1, 10), _MUSIQ, judges="aesthetics"),
    Metric("musiq-paq2piq", "MUSIQ; PaQ-2-PiQ", (0, 100), _MUSIQ),
    Metric("musiq-spaq", "MUSIQ; SPAQ", (0, 100), _MUSIQ),
    Metric("nima", "NIMA, Talebi and Milanfar 2018; AVA", (1, 10), _CENTRE.format(299), judges="aesthetics"),
    Metric("nima-koniq", "NIMA; KonIQ", (0, 1), _CENTRE.format(299)),
    Metric("nima-spaq", "NIMA; SPAQ", (0, 1), _CENTRE.format(299)),
    Metric("nima-vgg16-ava", "NIMA, VGG-16; AVA", (1, 10), _CENTRE.format(224), judges="aesthetics"),
    Metric("niqe", "NIQE, Mittal et al. 2013", (2, 12), _NIQE, False),
    Metric("niqe_matlab", "NIQE, MATLAB's version", (2, 12), _NIQE, False),
    Metric("nrqm", "NRQM, Ma et al. 2017", (0, 10), WHOLE, judges=_SR),
    Metric("paq2piq", "PaQ-2-PiQ, Ying et al. 2020", (0, 100), WHOLE),
    Metric("pi", "Perceptual Index, Blau et al. 2018", (0, 10), WHOLE, False, _SR),
    Metric("piqe", "PIQE, Venkatanath et al. 2015", (0, 100), "luma in blocks of 16 px", False),
    *(
        Metric(name, "Q-Align, Wu et al. 2024", (1, 5), _LANGUAGE, excluded=f"8 billion {_LARGE}")
        for name in ("qalign", "qalign_4bit", "qalign_8bit")
    ),
    *(
        Metric(name, "Q-ReAlign, 2026", (0, 1), _LANGUAGE, excluded=_NO_GRADIENT)
        for name in ("qrealign", "qrealign-mini", "qrealign-lite", "qrealign-pro")
    ),
    Metric("qualiclip", "QualiCLIP, Agnolucci et al. 2024", (0, 1), CLIP_WHOLE),
    Metric("qualiclip+", "QualiCLIP+; KonIQ", (0, 1), CLIP_WHOLE),
    *(Metric(f"qualiclip+-{data}", f"QualiCLIP+; {data}", (0, 1), CLIP_WHOLE) for data in ("clive", "flive", "spaq")),
    Metric("sfid", "sFID", (0, 100), "sets", False, "sets", excluded=_SETS),
    Metric("topiq_iaa", "TOPIQ, Chen et al. 2024; AVA, Swin", (1, 10), "resized to 384x384", judges="aesthetics"),
    Metric("topiq_iaa_res50", "TOPIQ; AVA", (1, 10), _RESIZED, judges="aesthetics"),
    Metric("topiq_nr", "TOPIQ, Chen et al. 2024; KonIQ", (0, 1), WHOLE),
    Metric("topiq_nr-face", "TOPIQ; CGFIQA", (0, 1), _FACE, judges="faces"),
    Metric("topiq_nr-face-v1", "TOPIQ; GFIQA", (0, 1), _FACE, judges="faces"),
    Metric("topiq_nr-flive", "TOPIQ; FLIVE", (0, 1), _RESIZED),
    Metric("topiq_nr-spaq", "TOPIQ; SPAQ", (0, 1), WHOLE),
    Metric("topiq_nr_swin-face", "TOPIQ; CGFIQA, Swin", (0, 1), _FACE, judges="faces"),
    Metric("tres", "TReS, Golestaneh et al. 2022; KonIQ", (0, 100), _CROPS.format(50), quick={"test_sample": 2}),
    Metric("tres-flive", "TReS; FLIVE", (0, 100), _CROPS.format(50), quick={"test_sample": 2}),
    Metric("unique", "UNIQUE, Zhang et al. 2021", (-3, 3), WHOLE),
    Metric("uranker", "URanker, Guo et al. 2023", (-1, 2), WHOLE, judges="underwater images"),
    Metric("wadiqam_nr", "WaDIQaM, Bosse et al. 2018; KonIQ", (-1, 0.1), "patches of 32 px, without overlap"),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
