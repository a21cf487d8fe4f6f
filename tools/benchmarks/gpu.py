"""The pack in a real host on a GPU, by the host's HTTP API: ``python -m tools.benchmarks.gpu --photo FILE``.

Random weights of Stable Diffusion 1.5 at 512 px and XL at 1024 px, in bfloat16, five iterations; with dynamic VRAM and
without where the host has it, and once with no more than 8 GiB left to it. DMAP Self Check measures: round trip,
gradient against central differences, seconds an iteration, the memory that was stated and the peak. Takes about ten
minutes and 8 GB of disk. COMFYUI_DIR names the host, else it is the one of ``make setup``.

``--cpu`` is the dry run: everything but sizes, precision and the GPU's memory is the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from dmap.image.files import FORMATS
from tools.host.server import ROOT, HostError, Server, host_folder

SIZES = {"sd15": 512, "sdxl": 1024}
DRY = {"sd15": 64, "sdxl": 64}
LEFT = 8
"""GiB that the last scenario leaves to the host."""
SD15 = ROOT / ".cache" / "random_sd15.safetensors"
COLUMNS = (
    "host", "dynamic VRAM", "model", "px", "works", "round trip", "gradient off", "s to load and check",
    "s an iteration", "peak GiB", "stated",
)  # fmt: skip


def scenarios(cpu: bool) -> dict[str, list[str]]:
    """Name -> arguments of the server."""
    precision = [] if cpu else ["--bf16-unet", "--bf16-vae"]
    found = {"as it comes": precision}
    if "disable-dynamic-vram" in (host_folder() / "comfy" / "cli_args.py").read_text(encoding="utf-8"):
        found["without dynamic VRAM"] = [*precision, "--disable-dynamic-vram"]
    if not cpu:
        total = torch.cuda.get_device_properties(0).total_memory / 2**30
        found[f"{LEFT} GiB left"] = [*precision, "--reserve-vram", f"{max(total - LEFT, 0):.1f}"]
    return found


def graph(name: str, iterations: int) -> dict[str, dict[str, Any]]:
    """Load a model, check it, and show all figures."""
    if name == "sd15":
        loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": SD15.name}}
        text = {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}}
        model, positive, vae = ["1", 0], ["2", 0], ["1", 2]
    else:
        loader = {"class_type": "DMAPTestFullXL", "inputs": {}}
        text = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
        model, positive, vae = ["1", 0], ["1", 1], ["1", 2]
    inputs = {"model": model, "positive": positive, "vae": vae, "image": ["3", 0], "iterations": iterations}
    return {
        "1": loader,
        "2": text,
        "3": {"class_type": "LoadImage", "inputs": {"image": f"{name}.png"}},
        "4": {"class_type": "DMAPSelfCheck", "inputs": inputs},
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 0]}},
    }


def run(photo: Path, names: list[str], iterations: int, cpu: bool) -> list[dict[str, Any]]:
    """A row a scenario and model; what fails is a row with its error."""
    rows = []
    for scenario, arguments in scenarios(cpu).items():
        with tempfile.TemporaryDirectory() as temporary:
            nodes = ROOT / "tests" / "host" / "dmap_test_nodes"
            with Server(Path(temporary), packs=[nodes], arguments=arguments, cpu=cpu) as server:
                (server.base / "models" / "checkpoints" / SD15.name).symlink_to(SD15)
                for name in names:
                    size = (DRY if cpu else SIZES)[name]
                    with Image.open(photo, formats=FORMATS) as image:
                        image.convert("RGB").resize((size, size)).save(server.base / "input" / f"{name}.png")
                    rows.append({"scenario": scenario, "name": name, "px": size, **_row(server, name, iterations)})
                    print(json.dumps(rows[-1]), flush=True)
                    server.free()
    return rows


def _row(server: Server, name: str, iterations: int) -> dict[str, Any]:
    began = time.monotonic()
    try:
        outputs = server.run(graph(name, iterations), seconds=1200)
    except HostError as error:
        return {"error": str(error).splitlines()[0]}
    found: dict[str, Any] = json.loads(outputs["5"]["text"][0])
    return {**found, "seconds": round(time.monotonic() - began, 1)}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        if "error" in row:
            lines.append(f"| | {row['scenario']} | {row['name']} | {row['px']} | {row['error']} |" + " |" * 6)
            continue
        cells = (
            row["comfyui"], row["scenario"], row["model"], row["px"], row["works"], f"{row['round_trip_error']:.1e}",
            f"{row['gradient_error']:.1%}", row["seconds"], row["seconds_an_iteration"],
            f"{row['peak_memory_gib']:.2f}", row["memory"],
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> int:
    """Command line; returns the exit code: 1 if a run did not work."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.gpu", description=__doc__)
    parser.add_argument("--photo", type=Path, default=ROOT / "workflows" / "dmap_sample.png", help="photograph")
    parser.add_argument("--models", nargs="+", choices=list(SIZES), default=list(SIZES), help="which (default: both)")
    parser.add_argument("--iterations", type=int, default=5, help="of the ascent")
    parser.add_argument("--cpu", action="store_true", help="dry run on the CPU, at small sizes")
    options = parser.parse_args()
    if not options.cpu and not torch.cuda.is_available():
        parser.error("no GPU that PyTorch can use; --cpu is the dry run")
    if not SD15.exists() and "sd15" in options.models:
        subprocess.run([sys.executable, "-m", "tools.host.random_sd15", str(SD15)], check=True, cwd=ROOT)
    rows = run(options.photo, options.models, options.iterations, options.cpu)
    print(table(rows))
    return 0 if all(row.get("works") for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
