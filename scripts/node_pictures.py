"""Take the pictures of the help pages in a headless Chromium: ``python -m scripts.node_pictures [NODE_ID ...]``."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from .host import ROOT, Server

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


def main() -> None:
    """Take the pictures of the named nodes, or of all."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, Server(Path(temporary)) as server, sync_playwright() as play:
        known = [name for name in server.get("/object_info") if name.startswith("DMAP")]
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        page = browser.new_page(viewport={"width": 1600, "height": 1300})
        page.goto(f"http://127.0.0.1:{server.port}/?template=restore_demo&source=ComfyUI-DMAP")
        page.wait_for_function("() => window.app?.graph?._nodes?.some(n => n.type === 'DMAPDecode')", timeout=240_000)
        page.wait_for_timeout(2000)
        for kind in sys.argv[1:] or known:
            x, y, width, height = page.evaluate(PLACE, kind)
            page.wait_for_timeout(700)
            shot = page.screenshot(clip={"x": x - 14, "y": y - 44, "width": width + 28, "height": height + 58})
            with Image.open(io.BytesIO(shot)) as picture:
                picture.convert("RGB").quantize(64).save(FOLDER / f"{kind}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
