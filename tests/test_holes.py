"""Filling what a photograph does not say."""

from __future__ import annotations

import pytest
import torch

from dmap.image.holes import fill
from toys import photograph


def scratched(size: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """A photograph with white scratches, and where it is known."""
    y, known = photograph(2, size), torch.ones(1, 1, size, size, dtype=torch.float64)
    known[..., 5:40, 20:23] = 0
    known[..., 30:37, 30:37] = 0
    return torch.where(known > 0, y, 1.0), known


def test_what_is_known_stays_bit_by_bit_and_the_rest_comes_near() -> None:
    spoilt, known = scratched()
    filled, clean = fill(spoilt, known), photograph(2, 48)
    hole = (known == 0).expand_as(filled)
    assert torch.equal(filled[~hole], clean[~hole])
    assert float((filled - clean)[hole].abs().mean()) < 0.25 * float((spoilt - clean)[hole].abs().mean())
    assert float(filled[hole].max()) < 1


@pytest.mark.parametrize("size", [(17, 40), (64, 64), (1, 9)])
def test_a_constant_is_filled_with_itself(size: tuple[int, int]) -> None:
    flat = torch.full((1, 3, *size), 0.3, dtype=torch.float64)
    known = (torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0)) > 0.7).double()
    assert torch.allclose(fill(torch.where(known > 0, flat, 5.0), known), flat)


def test_a_large_hole_is_smooth() -> None:
    """A slope goes on through it, without steps."""
    slope = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 3, 64, 64)
    known = torch.ones(1, 1, 64, 64, dtype=torch.float64)
    known[..., 16:48, 16:48] = 0
    filled = fill(slope * known, known)
    assert float((filled - slope).abs().max()) < 0.12
    assert float(filled.diff(dim=-1).abs().max()) < 0.08


def test_soft_masks_and_images_alone() -> None:
    spoilt, known = scratched()
    both = fill(spoilt, 0.5 + 0.5 * known)
    for index in range(2):
        assert torch.allclose(both[index : index + 1], fill(spoilt[index : index + 1], 0.5 + 0.5 * known))
    hole = (known == 0).expand_as(spoilt)
    assert float((both - spoilt)[hole].abs().mean()) > 0.01


def test_nothing_to_fill_from() -> None:
    with pytest.raises(ValueError, match="holes: the mask covers the whole photograph"):
        fill(photograph(2, 16), torch.cat([torch.ones(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)]))
