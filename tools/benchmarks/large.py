"""A large photograph by tiles in a real host: ``python -m tools.benchmarks.large --photo FILE --size 4096``.

Runs the template restore_large_tiles on a photograph scaled to the size, or on a smooth gradient of that width, and
prints: what the node said, seconds, the server's peak memory, what the last preview showed, and the seams. A seam is
told from the saved 8-bit picture: steps of the change across the tiles' borders over steps elsewhere (1: nothing to
see), and the largest jump of a row's or column's mean there and elsewhere, in grey levels.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from dmap.image.files import FORMATS, to_tensor
from dmap.image.layout import Layout
from tools.benchmarks.tiles import borders, scaled, seam
from tools.host import workflow
from tools.host.listen import Listener
from tools.host.server import ROOT, Server

GRID = 4
"""Pixels a latent position of the demo models."""


def gradient(width: int, height: int) -> Tensor:
    """Smooth in both directions and all colours: (1, 3, height, width) in [0, 1]."""
    x, y = torch.linspace(0, 1, width).expand(height, -1), torch.linspace(0, 1, height)[:, None].expand(-1, width)
    return torch.stack([0.3 + 0.3 * x, 0.3 + 0.2 * y + 0.1 * x, 0.6 - 0.2 * y])[None]


def jumps(change: Tensor, lines: list[int], dim: int) -> tuple[float, float]:
    """Largest step of a column's (dim -1) or row's (-2) mean at the lines, and anywhere else; in grey levels."""
    other = -2 if dim == -1 else -1
    step = 255 * change.mean(dim=(0, 1, other)).diff().abs()
    here = torch.zeros_like(step, dtype=torch.bool)
    here[torch.tensor(lines) - 1] = True
    return float(step[here].max()), float(step[~here].max())


def report(change: Tensor, layout: Layout) -> None:
    """Print a line a direction."""
    for name, dim in (("columns", -1), ("rows", -2)):
        lines = borders(change.shape[dim], layout, GRID)
        if lines:
            at, elsewhere = jumps(change, lines, dim)
            ratio = seam(change, lines, dim, GRID)
            print(f"{name:8} {len(lines)} borders: ratio {ratio:.2f}, largest jump {at:.3f}, elsewhere {elsewhere:.3f}")


def whole(preview: Image.Image, picture: Tensor) -> float:
    """Mean difference of a preview from the whole picture at the preview's size, of 1."""
    shown = to_tensor(preview.convert("RGB"))[None].float() / 255
    return float((shown - nn.functional.interpolate(picture, size=shown.shape[-2:], mode="area")).abs().mean())


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, help="photograph; without one, a gradient a quarter as high as wide")
    parser.add_argument("--size", type=int, default=4096, help="the long side in pixels")
    parser.add_argument("--tile", type=int, default=512, help="side of the tiles in pixels; they overlap by an eighth")
    parser.add_argument("--iterations", type=int, default=2, help="of the ascent")
    parser.add_argument("--fidelity-weight", type=float, default=80.0, help="of the ascent")
    parser.add_argument("--save", type=Path, help="where the restored picture goes")
    options = parser.parse_args()
    layout = Layout(tile=options.tile, overlap=options.tile // 8)
    y = (
        gradient(options.size, options.size // 4)
        if options.photo is None
        else scaled(options.photo, options.size, GRID)
    )
    with tempfile.TemporaryDirectory() as temporary, Server(Path(temporary)) as server, Listener(server) as heard:
        picture = y[0].mul(255).round().byte().movedim(0, -1).numpy()
        Image.fromarray(np.ascontiguousarray(picture)).save(server.base / "input" / "large.png")
        prompt = workflow.to_prompt(
            workflow.load(ROOT / "workflows" / "restore_large_tiles.json"),
            server.get("/object_info"),
            {
                "LoadImage": {"image": "large.png"},
                "DMAPTiles": {"tile": layout.tile, "overlap": layout.overlap},
                "DMAPOptimize": {"iterations": options.iterations, "fidelity_weight": options.fidelity_weight},
            },
        )
        began, idle = time.monotonic(), server.memory()
        outputs = server.wait(server.queue(prompt, heard.client), seconds=12 * 3600)["outputs"]
        seconds = time.monotonic() - began
        (optimise,) = workflow.nodes_of(prompt, "DMAPOptimize")
        (saved,) = [key for key, node in prompt.items() if node["_meta"]["title"] == "Restored" and key in outputs]
        found = server.image(outputs[saved]["images"][0])
        restored = to_tensor(Image.open(io.BytesIO(found), formats=FORMATS).convert("RGB"))[None].float() / 255
        rows = json.loads(outputs[optimise]["dmap_trace"][0])["rows"]
        print(f"{y.shape[-1]}x{y.shape[-2]} px, {options.iterations} iterations: {seconds:.0f} s in all, "
              f"{rows[-1]['seconds'] / len(rows):.0f} s an evaluation, peak memory {server.memory():.0f} MiB of which "
              f"{idle:.0f} MiB idle")  # fmt: skip
        print(outputs[optimise]["text"][0])
        print(f"{len(heard.previews)} previews, the last {heard.previews[-1].size} differs from the whole result by "
              f"{whole(heard.previews[-1], restored):.4f}; lines of text: {heard.texts[-1][1]!r}")  # fmt: skip
    report(restored - (y * 255).round() / 255, layout)
    if options.save is not None:
        options.save.write_bytes(found)


if __name__ == "__main__":
    main()
