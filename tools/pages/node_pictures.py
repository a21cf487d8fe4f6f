"""Take the pictures of the help pages in a headless Chromium: ``python -m tools.pages.node_pictures [NODE_ID ...]``.

Each carries the widgets and defaults that it shows, so that a test sees when it is out of date.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dmap.image.files import FORMATS
from tools.host.server import ROOT, Server

TEXT = "inputs"
"""Name of what a picture carries."""
FOLDER = ROOT / "web" / "docs" / "images"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
# The node alone on an empty canvas at scale 1; returns its box on the page.
PLACE = """kind => {
  const graph = window.app.graph, canvas = window.app.canvas;
  graph.clear();
  const node = LiteGraph.createNode(kind);
  node.pos = [100, 100];
  graph.add(node);
  const least = node.computeSize();
  node.setSize([Math.max(340, least[0]), least[1]]);
  canvas.ds.scale = 1;
  canvas.ds.offset = [300, 100];
  canvas.setDirty(true, true);
  return [node.pos[0] + 300, node.pos[1] + 100, ...node.size];
}"""


def shown(definition: dict[str, Any]) -> str:
    """Sockets and widgets of a node with their defaults, as JSON."""
    inputs = [definition["input"].get(group, {}) for group in ("required", "optional")]
    return json.dumps([{key: spec[1].get("default") for key, spec in group.items()} for group in inputs])


def main() -> None:
    """Take the pictures of the named nodes, or of all."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, Server(Path(temporary)) as server, sync_playwright() as play:
        (server.base / "output" / "DMAP_path_00001_.safetensors").touch()  # for the list of DMAP Load Path
        nodes = {name: node for name, node in server.get("/object_info").items() if name.startswith("DMAP")}
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        page = browser.new_page(viewport={"width": 1600, "height": 1300})
        page.goto(f"http://127.0.0.1:{server.port}/?template=restore_demo&source=ComfyUI-DMAP")
        page.wait_for_function("() => window.app?.graph?._nodes?.some(n => n.type === 'DMAPDecode')", timeout=240_000)
        page.wait_for_timeout(2000)
        for kind in sys.argv[1:] or nodes:
            x, y, width, height = page.evaluate(PLACE, kind)
            page.wait_for_timeout(700)
            shot = page.screenshot(clip={"x": x - 14, "y": y - 60, "width": width + 28, "height": height + 74})
            text = PngInfo()
            text.add_text(TEXT, shown(nodes[kind]))
            with Image.open(io.BytesIO(shot), formats=FORMATS) as picture:
                picture.convert("RGB").quantize(64).save(FOLDER / f"{kind}.png", optimize=True, pnginfo=text)
        browser.close()


if __name__ == "__main__":
    main()
