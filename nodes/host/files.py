"""The pack's files inside the host's folders."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths

from ...dmap.errors import UserError, repeated
from ...dmap.priors import WeightStore, priorfile

SUFFIX = ".safetensors"
MOST = 10_000
"""Entries of a folder that are looked at."""
IQA = "iqa"
SWITCH = "the switch 'download' of DMAP Load IQA Prior"
IQA_EXTENSIONS = {".safetensors", ".pth", ".pt", ".mat", ".json"}


def register_iqa_folder() -> None:
    """Make models/iqa a model folder of the host, beside those that the user's configuration names for it."""
    folder_paths.add_model_folder_path(IQA, str(Path(folder_paths.models_dir) / IQA))
    folders, extensions = folder_paths.folder_names_and_paths[IQA]
    folder_paths.folder_names_and_paths[IQA] = (folders, set(extensions) | IQA_EXTENSIONS)


def iqa_store(download: bool = False) -> WeightStore:
    """Where quality models' weights and prior files lie in this host.

    Args:
        download: whether missing ones may be fetched; the node then shows how far it is, and can be interrupted.
    """
    folders = tuple(Path(folder) for folder in folder_paths.get_folder_paths(IQA))
    return WeightStore(folders, download, _DownloadProgress() if download else None, SWITCH)


class _DownloadProgress:
    """Shows a download on the node's progress bar, file by file."""

    def __init__(self) -> None:
        self.bars: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if name not in self.bars:
            self.bars[name] = comfy.utils.ProgressBar(max(total, 1))
        self.bars[name].update_absolute(done)


def changed(name: str) -> float:
    """When the prior file behind a prior's name was last changed; 0 for other priors."""
    if not isinstance(name, str) or not name.startswith(priorfile.PREFIX):
        return 0.0
    try:
        return priorfile.find(name, iqa_store().folders).stat().st_mtime
    except (ValueError, OSError):
        return 0.0


def new_output_file(prefix: str) -> Path:
    """The next free file of that prefix in the host's output folder; the host refuses prefixes that lead out of it.

    Raises:
        UserError: if the prefix leads out of it, names no file, or cannot be a name.
    """
    if not os.path.basename(prefix).strip(". "):
        raise UserError(f"filename_prefix: got {repeated(prefix)}, which names no file; give a plain name")
    if "\0" in prefix:
        raise UserError(f"filename_prefix: {repeated(prefix)} cannot be used (a zero byte); give a plain name")
    try:
        folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    except Exception as error:  # the host raises plain ones
        raise UserError(f"filename_prefix: {prefix!r} cannot be used ({error}); give a plain name") from error
    # The host counts files that end in _; ours do, like its pictures.
    return Path(folder) / f"{name}_{counter:05}_{SUFFIX}"


def output_folder(name: str) -> Path:
    """A folder inside the host's output folder, there or not yet.

    Raises:
        UserError: if the name is empty or leads out of it.
    """
    root = Path(folder_paths.get_output_directory()).resolve()
    folder = _resolved(root / name.strip(), f"folder: {name!r}")
    if folder == root or not folder.is_relative_to(root):
        raise UserError(f"folder: {name!r} does not lie inside ComfyUI's output folder; give a plain name")
    return folder


def _resolved(place: Path, what: str) -> Path:
    try:
        return place.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # not a name, too long, or links in a ring
        raise UserError(f"{what} cannot be used ({error}); give a plain name") from error


def _roots() -> dict[str, Path]:
    return {
        "output": Path(folder_paths.get_output_directory()).resolve(),
        "input": Path(folder_paths.get_input_directory()).resolve(),
    }


def saved_files() -> list[str]:
    """Safetensors files in the host's output and input folders, as "output/name", newest first."""
    found = []
    for label, root in _roots().items():
        inside = _entries(root)
        folders = [one for one in inside if _is_folder(one)]
        # Deeper would mean walking all of a full output folder.
        for file in (*inside, *(one for folder in folders for one in _entries(Path(folder.path)))):
            if not file.name.endswith(SUFFIX):
                continue
            try:
                name = f"{label}/{Path(file.path).relative_to(root).as_posix()}"
                name.encode()  # others cannot be shown
                if file.is_file():  # no folder, pipe, or link to nowhere
                    found.append((file.stat().st_mtime, name))
            except (OSError, ValueError):
                continue
    return [name for _, name in sorted(found, reverse=True)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, ``MOST`` entries of it; nothing if nobody may look into it."""
    try:
        with os.scandir(folder) as found:
            return list(itertools.islice(found, MOST))
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def written(name: str) -> float:
    """When the file behind such a name was last written; 0 if there is none."""
    try:
        return find(name).stat().st_mtime
    except (ValueError, OSError):
        return 0.0


def find(name: str) -> Path:
    """The file behind such a name.

    Raises:
        UserError: if the name leads out of the two folders, or there is no such file.
    """
    if not isinstance(name, str):
        raise UserError(f"file: got {repeated(name)}; choose one of the list")
    label, _, rest = name.partition("/")
    root = _roots().get(label)
    file = None if root is None else _resolved(root / rest, f"file: {name!r}")
    if root is None or file is None or not file.is_relative_to(root):
        raise UserError(f"file: {name!r} does not lie in ComfyUI's output or input folder")
    if not file.is_file():
        raise UserError(f"file: {name!r} does not exist any more; choose another one")
    return file
