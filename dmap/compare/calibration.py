"""The images that maps to the common scale are fitted to: photographs, degraded in stated ways from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..degradations.synthetic import gaussian_blur, gaussian_noise, jpeg, resample
from ..errors import UserError
from ..fingerprint import digest
from ..priors import Prior
from ..priors.logistic import IdentityMap, LogisticMap
from ..priors.maps import FittedMap
from .inputs import Photograph, shown
from .specs import weights_print

BLURS, NOISES = (0.6, 1.0, 1.6, 2.5), (5, 10, 20, 35)
QUALITIES, FACTORS = (80, 50, 30, 12), (1.5, 2.0, 3.0)
"""Blur's sigma in pixels, noise's of 255, JPEG qualities, and factors down and up again."""
IN_WORDS = (
    f"as it is; blurred (sigma {', '.join(map(str, BLURS))} px); with noise (sigma {', '.join(map(str, NOISES))} of "
    f"255); as JPEG (quality {', '.join(map(str, QUALITIES))}); reduced and enlarged ({', '.join(map(str, FACTORS))} "
    "times); blurred, noisy and compressed at once"
)
VERSIONS = 2 + len(BLURS) + len(NOISES) + len(QUALITIES) + len(FACTORS)


def versions(photograph: Photograph, seed: int) -> Iterator[Tensor]:
    """``VERSIONS`` images (1, 3, h, w) of a photograph, the same for a seed whatever the other photographs are."""
    image = photograph.pixels
    generator = torch.Generator().manual_seed((seed * 1_000_003 + int(photograph.sha256[:8], 16)) % 2**63)
    yield shown(image)
    for sigma in BLURS:
        yield shown(gaussian_blur(image, sigma))
    for strength in NOISES:
        yield shown(gaussian_noise(image, strength / 255, generator))
    for quality in QUALITIES:
        yield shown(jpeg(image, quality))
    for factor in FACTORS:
        yield shown(resample(image, factor))
    yield shown(jpeg(gaussian_noise(gaussian_blur(image, 0.8), 10 / 255, generator), 40))


def raw_scores(prior: Prior, photographs: Sequence[Photograph], seed: int) -> Iterator[float]:
    """The prior's raw score of every version of every photograph."""
    device = next((tensor.device for tensor in prior.state_dict().values()), torch.device("cpu"))
    for photograph in photographs:
        for image in versions(photograph, seed):
            prior.check(image)
            with torch.no_grad():
                yield float(prior.score(image.to(device)))


def fit(prior: Prior, photographs: Sequence[Photograph], seed: int, size: int) -> FittedMap:
    """The map whose quantiles are matched to the prior's raw scores of these photographs.

    Args:
        prior: any; of one whose scores are on a scale already, such as a composition, that scale is matched.
        photographs: at least two.
        seed: of the noise.
        size: of the photographs in pixels, for the record.

    Raises:
        UserError: if the prior cannot score an image, or its scores hardly differ.
    """
    higher = prior.info.higher_better or isinstance(prior.score_map, IdentityMap)
    scores = list(raw_scores(prior, photographs, seed))
    try:
        found = LogisticMap.from_scores(scores, higher)
    except ValueError as error:
        raise UserError(f"prior {prior.info.name}: {error}") from error
    set_print = digest(sorted(photograph.sha256 for photograph in photographs))[:8]
    source = f"{len(photographs)} photographs ({set_print}) at {size or 'their own'} px, each {IN_WORDS}; seed {seed}"
    return FittedMap(
        float(f"{found.midpoint:.6g}"), float(f"{found.slope:.6g}"), weights_print(prior), len(scores), source
    )
