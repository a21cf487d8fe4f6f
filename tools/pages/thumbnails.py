"""Make the templates' thumbnails: ``python -m tools.pages.thumbnails [NAME ...]``.

Templates that run on the demo models are run in a real ComfyUI as they are shipped; shown is the left half of the
photograph before and the right half after. The others, which need a checkpoint or restore nothing, show the
photograph and say what they are. The demo's picture is that of ``make demo`` and is left alone.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tools.host import workflow
from tools.host.server import ROOT, Server

FOLDER = ROOT / "workflows"
SIDE = 512
LABELS = {"compare_settings": ("gentle", "strong")}
CARDS = {
    "restore_sd15": ("Stable Diffusion 1.5", "needs an SD 1.x checkpoint"),
    "restore_flow": ("Z-Image, FLUX.2, SD 3.5 ...", "needs a flow model's three files"),
    "restore_sdxl": ("Stable Diffusion XL", "needs an SDXL checkpoint"),
    "self_check": ("Does it work here?", "a report of exactness, speed and memory"),
    "restore_hybrid_prior": ("MS-LIQE + MUSIQ + CLIP-IQA", "needs SD 1.x, pyiqa and its weights"),
}
DEMO = "restore_demo"


def square(image: Image.Image) -> Image.Image:
    """The middle of a picture at the thumbnail's size."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def split(both: Image.Image, labels: tuple[str, str]) -> Image.Image:
    """Half of the left and half of the right picture of two that lie side by side, with a line between."""
    width, height = both.width // 2, both.height
    first, second = (square(both.crop((left, 0, left + width, height))) for left in (0, width))
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


def run(server: Server, name: str) -> Image.Image:
    """What the template's node "Before | after" saves."""
    saved = workflow.load(FOLDER / f"{name}.json")
    for node in saved["nodes"]:
        if node["type"] == "LoadImage":
            server.upload(FOLDER / node["widgets_values"][0])
    prompt = workflow.to_prompt(saved, server.get("/object_info"))
    outputs = server.run(prompt, seconds=4 * 3600)
    (key,) = [key for key in outputs if prompt[key]["_meta"]["title"] == "Before | after"]
    return Image.open(io.BytesIO(server.image(outputs[key]["images"][0]))).convert("RGB")


def main() -> None:
    """Make those that are named, or all."""
    names = sys.argv[1:] or sorted({file.stem for file in FOLDER.glob("*.json")} - {DEMO})
    with tempfile.TemporaryDirectory() as temporary, Server(Path(temporary)) as server:
        for name in names:
            if name in CARDS:
                with Image.open(FOLDER / "dmap_sample.png") as photograph:
                    picture = card(photograph.convert("RGB"), *CARDS[name])
            else:
                picture = split(run(server, name), LABELS.get(name, ("before", "after")))
            picture.save(FOLDER / f"{name}.jpg", quality=88)
            print(name, flush=True)


if __name__ == "__main__":
    main()
