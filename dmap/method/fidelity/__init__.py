"""The fidelities by name. A new one is one class and one line below."""

from __future__ import annotations

from ...errors import no_choice
from .base import Fidelity
from .colour import ColourNLPD
from .nlpd import NLPD
from .pixel import L1, MSE
from .ssim import MSSSIM, SSIM

FIDELITIES: dict[str, type[Fidelity]] = {
    ColourNLPD.name: ColourNLPD,
    NLPD.name: NLPD,
    MSE.name: MSE,
    L1.name: L1,
    SSIM.name: SSIM,
    MSSSIM.name: MSSSIM,
}

__all__ = ["FIDELITIES", "Fidelity", "fidelity"]


def fidelity(name: str) -> Fidelity:
    """The fidelity of that name. Raises UserError for an unknown one."""
    if name not in FIDELITIES:
        raise no_choice("fidelity", name, FIDELITIES)
    return FIDELITIES[name]()
