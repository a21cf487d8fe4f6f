"""Put another ComfyUI into a folder for the tests, from a git directory at hand or from a URL.

    python -m tools.host.export GIT_DIRECTORY_OR_URL [FOLDER]
    make test COMFYUI_DIR=$PWD/.host/young

A git directory may be bare and may lack large files, as partial clones do: what is missing is named. What that host
wants beyond requirements-test.txt is installed without its own requirements, so that torch and numpy stay as they are.
ComfyUI is GPL-3.0: FOLDER is git-ignored, and nothing of it belongs into the pack.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".host" / "young"


def export(repository: Path, folder: Path) -> list[str]:
    """Write the newest tree of a git directory into a folder; returns the files whose content it lacks.

    Raises:
        subprocess.CalledProcessError: if it is not a git directory.
    """
    missing = []
    for path, content in _files(repository):
        if content is None:
            missing.append(path)
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return missing


def _files(repository: Path) -> Iterator[tuple[str, bytes | None]]:
    git = ["git", "--git-dir", str(repository)]
    listed = subprocess.run([*git, "ls-tree", "-r", "-z", "HEAD"], capture_output=True, check=True).stdout
    with subprocess.Popen([*git, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as objects:
        assert objects.stdin is not None
        assert objects.stdout is not None
        for entry in filter(None, listed.split(b"\0")):
            about, path = entry.split(b"\t", 1)
            _, kind, name = about.split()
            if kind != b"blob":
                continue
            objects.stdin.write(name + b"\n")
            objects.stdin.flush()
            head = objects.stdout.readline().split()
            content = None if head[-1] == b"missing" else objects.stdout.read(int(head[2]))
            if content is not None:
                objects.stdout.read(1)
            yield path.decode(), content


def requirements(folder: Path) -> list[str]:
    """Packages that a host names and this environment lacks."""
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split("#")[0].strip() for line in lines]
    return [line for line in names if line and not _installed(re.split(r"[<>=~! \[]", line, maxsplit=1)[0])]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.host.export", description=__doc__.split("\n")[0])
    parser.add_argument("source", help="a git directory, or the address of a repository to clone")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where it goes (default: .host/young)")
    options = parser.parse_args(arguments)
    if options.folder.exists():
        parser.error(f"folder: {options.folder} is there already; remove it first")
    with tempfile.TemporaryDirectory() as temporary:
        repository = Path(options.source)
        if "://" in options.source:
            repository = Path(temporary)
            subprocess.run(["git", "clone", "--quiet", "--bare", "--depth", "1", options.source, temporary], check=True)
        elif (repository / ".git").is_dir():
            repository /= ".git"
        missing = export(repository, options.folder)
    wanted = requirements(options.folder)
    if wanted:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *wanted], check=True)
    print(f"ComfyUI is in {options.folder}; installed {', '.join(wanted) or 'nothing'}")
    print(f"missing: {', '.join(missing) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
