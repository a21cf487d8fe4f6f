"""The solvers by name. A new one is one file here and one line below."""

from __future__ import annotations

from ...errors import no_choice
from .base import Solver, round_trip_error
from .edict import Edict
from .residual_ddim import ResidualDDIM

SOLVERS: dict[str, type[Solver]] = {
    ResidualDDIM.name: ResidualDDIM,
    Edict.name: Edict,
}

__all__ = ["SOLVERS", "Edict", "ResidualDDIM", "Solver", "make_solver", "round_trip_error"]


def make_solver(name: str) -> Solver:
    """The solver of that name with its standard settings. Raises UserError for an unknown one."""
    if name not in SOLVERS:
        raise no_choice("solver", name, SOLVERS)
    return SOLVERS[name]()
