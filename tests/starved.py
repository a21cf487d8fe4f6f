"""An ascent of the shipped models in a process that may take only so many more megabytes: ``python -m starved 150``.

Prints its notes and objectives as JSON. For the tests of a real lack of memory.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import sys
from pathlib import Path

import torch

from dmap.method.ascent import Ascent, AscentSettings
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.gradients import make_gradient
from dmap.method.objective import Objective
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from dmap.models.diffusion import shipped
from dmap.priors import load_prior
from tools.demo import SAMPLE, pixels


def main(megabytes: int) -> None:
    """Climb twice: checkpointed without a limit, then with everything kept under it."""
    torch.set_num_threads(1)
    model, photograph = shipped(), pixels(SAMPLE)[..., 40:296, 60:316]
    with torch.no_grad():
        schedule = Schedule.from_table(model.table, 4, 0.2)
        path = make_solver("residual_ddim").invert(model.denoise, schedule, model.encode(photograph))
    prior = load_prior("dmap_quality").requires_grad_(False)
    objective = Objective(prior, fidelity("nlpd_colour"), photograph, shift=0)
    found = {}
    for name in ("checkpoint", "keep"):
        if name == "keep":
            gc.collect()
            size = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
            assert size is not None
            limit = int(size[1]) * 1024 + megabytes * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        chain = Chain(path, model.denoise, model.decoding(), make_gradient(name))
        ascent = Ascent(chain, objective, AscentSettings(2, "adam", 0.02, 200.0))
        error = ""
        try:
            ascent.run()
        except MemoryError as lack:
            error = str(lack)
        rows = [row.objective[0] for row in ascent.trace.rows]
        found[name] = {"notes": ascent.trace.notes, "objectives": rows, "error": error}
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
