"""How far a restoration comes, kind by kind, from input to start to end: ``python -m tools.benchmarks.bars --help``.

Photographs that nothing was trained on, degraded in known ways. "start" is the photograph without its estimated noise
and blocks, where the ascent begins; "end" is what ``dmap.restore`` makes of it with the default settings.
BM3D (Dabov et al. 2007; the package ``bm3d``, with scikit-image's estimate of the noise) is measured where asked for.
Finished photographs are kept in the output folder, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import dmap
from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg, resample
from dmap.image.cleaning import clean as clean_photograph
from dmap.image.files import centre_crop
from dmap.method.fidelity import fidelity
from dmap.models.diffusion import shipped
from dmap.priors import PRIORS, load_prior
from dmap.priors.own import OwnQuality
from dmap.restoration import DEFAULT_PRIOR
from dmap.settings import default
from tools.benchmarks.evidence.methods import Tools
from tools.benchmarks.evidence.sheets import sheet
from tools.benchmarks.evidence.tables import table
from tools.demo import psnr
from tools.training.data import list_photos, reserve
from tools.training.draw import OtherDegrader

Row = dict[str, str | float]


def _second_order(image: Tensor, generator: torch.Generator) -> Tensor:
    """Degraded twice, as a photograph that was sent, edited and sent again (after Real-ESRGAN, arXiv:2107.10833)."""
    once = gaussian_noise(resample(gaussian_blur(image, 0.8), 1.3), 8 / 255, generator)
    return jpeg(gaussian_noise(gaussian_blur(jpeg(once, 60), 0.5), 4 / 255, generator), 75)


KINDS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "blur 1.2": lambda x, _: gaussian_blur(x, 1.2),
    "noise 20": lambda x, g: gaussian_noise(x, 20 / 255, g),
    "jpeg 20": lambda x, _: jpeg(x, 20),
    "blur, noise, jpeg": lambda x, g: jpeg(gaussian_noise(gaussian_blur(x, 0.8), 10 / 255, g), 50),
    "second order": _second_order,
    "clean": lambda x, _: x,
    "noise 10": lambda x, g: gaussian_noise(x, 10 / 255, g),
    "noise 15": lambda x, g: gaussian_noise(x, 15 / 255, g),
    "noise 25": lambda x, g: gaussian_noise(x, 25 / 255, g),
    "jpeg 15": lambda x, _: jpeg(x, 15),
    "jpeg 40": lambda x, _: jpeg(x, 40),
    "grain": lambda x, g: jpeg(OtherDegrader(g).photon_noise(x, 200).clamp(0, 1), 85),
}
FIVE = tuple(KINDS)[:5]
"""Those of the mean over all."""
NOISY = ("noise 10", "noise 15", "noise 20", "noise 25", "grain")


TRIED = ("fidelity_weight", "iterations", "step_size", "steps", "strength")
"""Settings that can be tried; without iterations a restoration ends at the start."""


def settings_of(options: argparse.Namespace) -> dmap.Settings:
    """The defaults, but for what is tried."""
    return dmap.Settings(**{name: getattr(options, name) for name in TRIED})


def photographs(folder: Path, tuning: bool, faces: bool, side: int) -> list[tuple[str, Tensor]]:
    """Names and originals (1, 3, side, side): the faces, or all others, that are for tuning or only for reporting."""
    found = [
        (one.name, one.crop(folder, side)[None]) for one in reserve() if one.tuning == tuning and one.face and faces
    ]
    if faces:
        return found
    files = list_photos(folder, heldout=True)[0 if tuning else 1 :: 2]
    files += [folder / one.name for one in reserve() if one.tuning == tuning and one.face is None]
    return [(file.name, centre_crop(file, side)[None]) for file in files]


def end(tools: Tools, images: Sequence[Tensor], settings: dmap.Settings) -> tuple[list[Tensor], float]:
    """What ``dmap.restore`` makes of images (1, 3, h, w), all at once, and its CPU seconds an image."""
    began = time.process_time()
    restored = dmap.restore(torch.cat(list(images)), tools.diffusion, settings, tools.prior).image
    return list(restored.chunk(len(images))), (time.process_time() - began) / len(images)


def bm3d(image: Tensor) -> Tensor:
    """BM3D of (1, 3, h, w), the noise's deviation estimated by scikit-image."""
    import bm3d as package
    from skimage.restoration import estimate_sigma

    array = image[0].permute(1, 2, 0).double().numpy()
    sigma = float(np.mean(estimate_sigma(array, channel_axis=-1)))  # type: ignore[no-untyped-call]
    return torch.from_numpy(package.bm3d_rgb(array, sigma)).permute(2, 0, 1)[None].float().clamp(0, 1)


def _measure(image: Tensor, clean: Tensor) -> dict[str, float]:
    return {"psnr": min(psnr(image, clean), 70.0), "ssim": 1 - float(fidelity("ssim")(image.clamp(0, 1), clean))}


def _photo(options: argparse.Namespace, tools: Tools, name: str, clean: Tensor, seed: int) -> list[Row]:
    """All rows of one photograph; its pictures go to a sheet if asked for."""
    degraded = []
    for kind in options.kinds:
        image = KINDS[kind](clean, torch.Generator().manual_seed(seed)).clamp(0, 1)
        degraded.append((image * 255).round() / 255)
    began = time.process_time()
    starts = [clean_photograph(image).image for image in degraded]
    seconds = {"start": (time.process_time() - began) / len(starts)}
    results: dict[str, Sequence[Tensor]] = {"input": degraded, "start": starts}
    if options.iterations:
        results["end"], seconds["end"] = end(tools, degraded, settings_of(options))
    rows: list[Row] = []
    for method, pictures in results.items():
        for kind, image in zip(options.kinds, pictures, strict=True):
            spent = seconds.get(method, 0.0)
            rows.append({"photo": name, "kind": kind, "method": method, **_measure(image, clean), "seconds": spent})
    if options.bm3d:
        for kind, image in zip(options.kinds, degraded, strict=True):
            if kind in NOISY:
                result = bm3d(image)
                rows.append({"photo": name, "kind": kind, "method": "bm3d", **_measure(result, clean), "seconds": 0.0})
    if options.sheets:
        lines = [
            (f"{name[:20]} {kind}", {"original": clean[0], **{key: value[index][0] for key, value in results.items()}})
            for index, kind in enumerate(options.kinds)
        ]
        sheet(lines, options.out / f"{Path(name).stem}.png")
    return rows


def summary(rows: Sequence[Row]) -> str:
    """Markdown: means by kind and method, and over the five kinds of the bar."""
    kinds, methods = (list(dict.fromkeys(str(row[key]) for row in rows)) for key in ("kind", "method"))
    body = []
    for group, members in [*((kind, (kind,)) for kind in kinds), ("mean of five", FIVE)]:
        cells = []
        for method in methods:
            here = [row for row in rows if row["method"] == method and row["kind"] in members]
            if not here or (len(members) > 1 and not set(members) <= {row["kind"] for row in here}):
                cells.append("")
                continue
            means = [sum(float(row[key]) for row in here) / len(here) for key in ("psnr", "ssim")]
            cells.append(f"{means[0]:.2f} {means[1]:.4f}")
        body.append([group, *cells])
    last = "end" if "end" in methods else "start"
    spent = [float(row["seconds"]) for row in rows if row["method"] == last]
    photos = len({row["photo"] for row in rows})
    note = f"\n{photos} photographs"
    if spent:
        note += f"; {sum(spent) / len(spent):.1f} CPU seconds a picture from input to {last}"
    note += ".\n"
    return table(["PSNR dB, SSIM", *methods], body) + note


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.bars", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for finished work, sheets and table")
    parser.add_argument("--tune", action="store_true", help="the photographs that settings may be tuned on")
    parser.add_argument("--faces", action="store_true", help="the faces; by default all others")
    parser.add_argument("--count", type=int, default=10**6, help="at most so many photographs, spread over all")
    parser.add_argument("--side", type=int, default=256, help="of the square in pixels")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="degradations")
    parser.add_argument("--prior", default=DEFAULT_PRIOR, help="a prior of the pack, a shipped network or a file")
    for name in TRIED:
        kind, usual = type(default(name)), default(name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=usual, help=f"(default: {usual})")
    parser.add_argument("--denoiser", default="demo_denoiser", help="a shipped denoiser or a file, of a flow as well")
    parser.add_argument("--bm3d", action="store_true", help="also BM3D on noise; needs the package bm3d")
    parser.add_argument("--sheets", action="store_true", help="also a sheet a photograph")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    prior = load_prior(options.prior) if options.prior in PRIORS else OwnQuality(options.prior)
    tools = Tools(prior, shipped(denoiser=options.denoiser))
    found = photographs(options.photos, options.tune, options.faces, options.side)
    every = max(1, len(found) // options.count)
    rows: list[Row] = []
    for seed, (name, clean) in enumerate(found[::every][: options.count]):
        file = options.out / f"{Path(name).stem}.json"
        if not file.exists():
            file.write_text(json.dumps(_photo(options, tools, name, clean, seed)), encoding="utf-8")
        rows += json.loads(file.read_text(encoding="utf-8"))
        text = summary(rows)
        (options.out / "bars.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
