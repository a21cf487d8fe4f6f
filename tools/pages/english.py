"""Write locales/en/nodeDefs.json from the nodes themselves, by a running host: ``python -m tools.pages.english``.

A translator starts from this file; a test holds it to the nodes.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tools.host.server import ROOT, Server

FILE = ROOT / "locales" / "en" / "nodeDefs.json"


def names(definitions: dict[str, Any]) -> dict[str, Any]:
    """The texts of the pack's nodes in /object_info, as the host's translations are written."""
    found: dict[str, Any] = {}
    for name, node in definitions.items():
        if not name.startswith("DMAP") or name.startswith("DMAPTest"):
            continue
        inputs = {
            key: {"name": spec[1].get("display_name") or key, "tooltip": spec[1]["tooltip"]}
            for group in ("required", "optional")
            for key, spec in node["input"].get(group, {}).items()
        }
        labels = zip(node["output_name"], node["output_tooltips"], strict=True)
        outputs = {str(slot): {"name": label, "tooltip": text} for slot, (label, text) in enumerate(labels)}
        found[name] = {"display_name": node["display_name"], "description": node["description"]}
        found[name] |= {"inputs": inputs, "outputs": outputs}
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary, Server(Path(temporary)) as server:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(names(server.get("/object_info")), indent=1, ensure_ascii=False)
        FILE.write_text(text + "\n", encoding="utf-8")
