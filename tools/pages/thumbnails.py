"""Make the templates' thumbnails: ``python -m tools.pages.thumbnails [NAME ...]``.

Templates that run on the demo models are run in a real ComfyUI as they are shipped; shown is the left half of the
photograph before and the right half after. The others, which need a checkpoint or restore nothing, show the
photograph and say what they are.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dmap.image.files import FORMATS
from tools.host import workflow
from tools.host.server import ROOT, Server

FOLDER = ROOT / "workflows"
SIDE = 512
PAIRS = {"compare_settings": ("Save gentle", ("gentle", "strong"))}
"""The node that saves the first picture, and what to write on both, where that is not the photograph."""
CARDS = {
    "restore_sd15": ("Stable Diffusion 1.5", "needs an SD 1.x checkpoint"),
    "restore_flow": ("Z-Image, FLUX.2, SD 3.5 ...", "needs a flow model's three files"),
    "restore_sdxl": ("Stable Diffusion XL", "needs an SDXL checkpoint"),
    "self_check": ("Does it work here?", "a report of exactness, speed and memory"),
    "restore_hybrid_prior": ("MS-LIQE + MUSIQ + CLIP-IQA", "needs SD 1.x, pyiqa and its weights"),
}


def square(image: Image.Image) -> Image.Image:
    """The middle of a picture at the thumbnail's size."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def split(before: Image.Image, after: Image.Image, labels: tuple[str, str]) -> Image.Image:
    """Half of one and half of the other picture, with a line between."""
    first, second = square(before), square(after)
    first.paste(second.crop((SIDE // 2, 0, SIDE, SIDE)), (SIDE // 2, 0))
    draw = ImageDraw.Draw(first)
    draw.line((SIDE // 2, 0, SIDE // 2, SIDE), fill="white", width=2)
    for label, x, anchor in ((labels[0], 16, "ls"), (labels[1], SIDE - 16, "rs")):
        draw.text(
            (x, SIDE - 16), label, "white", ImageFont.load_default(24), anchor, stroke_width=2, stroke_fill="#222"
        )
    return first


def card(photograph: Image.Image, title: str, needs: str) -> Image.Image:
    """A photograph with two lines on a dark band."""
    picture = square(photograph)
    band = Image.new("RGB", (SIDE, 130), "#14141c")
    picture.paste(Image.blend(band, picture.crop((0, SIDE - 130, SIDE, SIDE)), 0.15), (0, SIDE - 130))
    draw = ImageDraw.Draw(picture)
    for text, y, size in ((title, SIDE - 92, 30), (needs, SIDE - 40, 22)):
        draw.text((24, y), text, "white", ImageFont.load_default(size), "lm")
    return picture


def photograph_of(saved: dict[str, Any]) -> Path:
    """The template's own."""
    (name,) = [node["widgets_values"][0] for node in saved["nodes"] if node["type"] == "LoadImage"]
    return FOLDER / str(name)


def run(server: Server, saved: dict[str, Any], first: str | None) -> tuple[Image.Image, Image.Image]:
    """Before and after: the template's photograph, or what the node of this title saves, and what "Restored" saves."""
    photograph = photograph_of(saved)
    server.upload(photograph)
    prompt = workflow.to_prompt(saved, server.get("/object_info"))
    outputs = server.run(prompt, seconds=4 * 3600)
    files = {
        prompt[key]["_meta"]["title"]: output["images"][0] for key, output in outputs.items() if "images" in output
    }
    before = photograph if first is None else io.BytesIO(server.image(files[first]))
    after = io.BytesIO(server.image(files["Restored"]))
    return Image.open(before, formats=FORMATS).convert("RGB"), Image.open(after, formats=FORMATS).convert("RGB")


def main() -> None:
    """Make those that are named, or all."""
    names = sys.argv[1:] or sorted(file.stem for file in FOLDER.glob("*.json"))
    with tempfile.TemporaryDirectory() as temporary, Server(Path(temporary)) as server:
        for name in names:
            saved = workflow.load(FOLDER / f"{name}.json")
            if name in CARDS:
                with Image.open(photograph_of(saved), formats=FORMATS) as photograph:
                    picture = card(photograph.convert("RGB"), *CARDS[name])
            else:
                first, labels = PAIRS.get(name, (None, ("before", "after")))
                picture = split(*run(server, saved, first), labels)
            picture.save(FOLDER / f"{name}.jpg", quality=88)
            print(name, flush=True)


if __name__ == "__main__":
    main()
