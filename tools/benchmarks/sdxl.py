"""Stable Diffusion XL at its full size in the host, random weights: ``python -m tools.benchmarks.sdxl --photo FILE``.

2.6 billion parameters in bfloat16: 5 GB of weights and about 8 GB of memory, so by hand and not among the tests, which
take XL at a fifth of its width. Printed: the round trip's error, the objective, seconds, and the server's peak memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from PIL import Image

from dmap.image.files import FORMATS
from tools.host.server import ROOT, Server


def graph(size: int, iterations: int) -> dict[str, dict[str, object]]:
    """Encode, invert, climb, decode and save a photograph."""
    model, image = ["1", 0], ["2", 0]
    return {
        key: {"class_type": kind, "inputs": inputs}
        for key, kind, inputs in (
            ("1", "DMAPTestFullXL", {}),
            ("2", "LoadImage", {"image": "photograph.png"}),
            ("3", "DMAPEncode", {"image": image, "vae": ["1", 2], "tile": 0}),
            ("4", "DMAPInvert", {"model": model, "latent": ["3", 0], "positive": ["1", 1], "solver": "residual_ddim",
                                 "steps": 2, "strength": 0.2, "max_error": 0.05}),
            ("5", "DMAPLoadPrior", {"name": "dmap_quality"}),
            ("6", "DMAPOptimize", {"path": ["4", 0], "vae": ["1", 2], "prior": ["5", 0], "image": image,
                                   "iterations": iterations, "prior_weight": 1.0, "fidelity": "nlpd",
                                   "fidelity_weight": 0.0, "rule": "adam", "step_size": 0.02, "target_score": 200.0,
                                   "shift": 0, "seed": 0, "gradient": "checkpoint"}),
            ("7", "DMAPDecode", {"path": ["6", 0], "vae": ["1", 2]}),
            ("8", "SaveImage", {"images": ["7", 0], "filename_prefix": f"sdxl_{size}"}),
        )
    }  # fmt: skip


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, required=True, help="photograph")
    parser.add_argument("--size", type=int, default=128, help="side in pixels that it is scaled to")
    parser.add_argument("--iterations", type=int, default=2, help="of the ascent")
    options = parser.parse_args()
    nodes = ROOT / "tests" / "host" / "dmap_test_nodes"
    with tempfile.TemporaryDirectory() as temporary, Server(Path(temporary), packs=[nodes]) as server:
        with Image.open(options.photo, formats=FORMATS) as image:
            small = image.convert("RGB").resize((options.size, options.size))
            small.save(server.base / "input" / "photograph.png")
        idle, began = server.memory(), time.monotonic()
        outputs = server.run(graph(options.size, options.iterations), seconds=4 * 3600)
        rows = json.loads(outputs["6"]["dmap_trace"][0])["rows"]
        print(f"{outputs['4']['text'][0]}; objective {[round(row['objective'][0], 3) for row in rows]}")
        print(f"{time.monotonic() - began:.0f} s in all, {rows[-1]['seconds'] / len(rows):.0f} s an evaluation; "
              f"peak memory {server.memory():.0f} MiB of which {idle:.0f} MiB idle")  # fmt: skip
        print(outputs["6"]["text"][0])


if __name__ == "__main__":
    main()
