"""Restore the sample photograph with the shipped workflow in a real ComfyUI: ``make demo``.

Leaves in output/: restored.png, before_after.png, trace.png and report.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from dmap.image.files import FORMATS, to_tensor
from dmap.method.fidelity import fidelity
from dmap.priors import load_prior
from dmap.priors.pyiqa_adapter import build
from dmap.priors.stored import StoredFiles
from dmap.priors.weights import NOWHERE
from tools.host import workflow
from tools.host.server import HostError, Server

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "workflows" / "dmap_sample.png"
CLEAN = ROOT / "workflows" / "dmap_sample_clean.png"
TITLES = {"Restored": "restored.png", "Trace": "trace.png"}


def pixels(file: Path) -> torch.Tensor:
    """A picture as (1, 3, h, w) in [0, 1]."""
    with Image.open(file, formats=FORMATS) as image:
        return to_tensor(image)[None].float() / 255


def beside(first: Path, second: Path, target: Path) -> None:
    """Write two pictures of one height side by side."""
    with Image.open(first, formats=FORMATS) as left, Image.open(second, formats=FORMATS) as right:
        both = Image.new("RGB", (left.width + right.width, left.height))
        both.paste(left.convert("RGB"), (0, 0))
        both.paste(right.convert("RGB"), (left.width, 0))
    both.save(target)


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB."""
    return float(-10 * (first - second).square().mean().log10())


def scores(image: torch.Tensor, clean: torch.Tensor) -> dict[str, float]:
    """The prior's score, and what nothing has optimised: measures against the clean photograph, and PIQE (lower is
    better) without reference."""
    with torch.no_grad():
        return {
            "prior_dmap_quality": float(load_prior("dmap_quality")(image)),
            "psnr_to_clean_db": psnr(image, clean),
            "ssim_to_clean": 1 - float(fidelity("ssim")(image, clean)),
            "ms_ssim_to_clean": 1 - float(fidelity("ms_ssim")(image, clean)),
            "nlpd_to_clean": float(fidelity("nlpd")(image, clean)),
            "piqe_lower_is_better": float(build("piqe", StoredFiles(NOWHERE))(image)),
        }


def run(photo: Path, out: Path, overrides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Run the workflow on a photograph; returns the report's part that the host knows."""
    with tempfile.TemporaryDirectory(prefix="dmap-demo-") as temporary, Server(Path(temporary)) as server:
        print(f"ComfyUI runs on 127.0.0.1:{server.port}")
        name = server.upload(photo)
        prompt = workflow.to_prompt(
            workflow.load(ROOT / "workflows" / "restore_demo.json"),
            server.get("/object_info"),
            {**overrides, "LoadImage": {"image": name}},
        )
        began = time.monotonic()

        def tick() -> None:
            if sys.stdout.isatty():  # a log wants no line that is written over
                print(f"\rrestoring, {time.monotonic() - began:.0f} s", end="", flush=True)

        entry = server.wait(server.queue(prompt), seconds=1800, tick=tick)
        print("\r" * sys.stdout.isatty() + f"restored in {time.monotonic() - began:.0f} s")
        outputs = entry["outputs"]
        for key, node in prompt.items():
            target = TITLES.get(node["_meta"]["title"])
            if target and key in outputs:
                (out / target).write_bytes(server.image(outputs[key]["images"][0]))
        (optimise,), (invert,) = (workflow.nodes_of(prompt, kind) for kind in ("DMAPOptimize", "DMAPInvert"))
        trace = json.loads(outputs[optimise]["dmap_trace"][0])
        steps = max(len(trace["rows"]) - 1, 1)
        return {
            "round_trip_error": float(outputs[invert]["text"][0].rsplit(" ", 1)[-1]),
            "iterations": steps,
            "best_iteration": trace["best_iteration"][0],
            "stopped": trace["stopped"][0],
            "seconds_total": round(time.monotonic() - began, 1),
            "seconds_an_iteration": round(trace["rows"][-1]["seconds"] / (steps + 1), 3),
            "peak_memory_mib": round(server.memory()),
            "settings": {
                kind: prompt[workflow.nodes_of(prompt, kind)[0]]["inputs"] for kind in ("DMAPInvert", "DMAPOptimize")
            },
            "host": server.get("/system_stats")["system"]["comfyui_version"],
        }


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("--photo", type=Path, default=SAMPLE, help="photograph to restore (default: the sample)")
    parser.add_argument("--clean", type=Path, default=CLEAN, help="its clean original, for the report")
    parser.add_argument("--out", type=Path, default=ROOT / "output", help="folder for the results")
    parser.add_argument("--iterations", type=int, help="instead of the workflow's")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    overrides = {"DMAPOptimize": {"iterations": options.iterations}} if options.iterations else {}
    try:
        report = run(options.photo, options.out, overrides)
    except HostError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    beside(options.photo, options.out / "restored.png", options.out / "before_after.png")
    photo, restored, clean = pixels(options.photo), pixels(options.out / "restored.png"), pixels(options.clean)
    report |= {
        "before": scores(photo, clean),
        "after": scores(restored, clean),
        "psnr_of_result_to_input_db": psnr(restored, photo),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    (options.out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for key, before in report["before"].items():
        print(f"{key:22} {before:8.3f} -> {report['after'][key]:8.3f}")
    print(f"{report['seconds_an_iteration']} s an iteration, peak memory {report['peak_memory_mib']} MiB")
    print(f"results in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
