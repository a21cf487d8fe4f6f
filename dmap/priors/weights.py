"""Where quality models' files are looked for, and how they are told to be the right ones."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import torch.hub

from ..errors import UserError
from . import maps
from .download import Progress, digest_of, fetch
from .maps import FittedMap

PINS = {
    "musiq_koniq_ckpt-e95806b9.pth": "e95806b9eae5f3814c410f574ba8e552362bd5bc63d758ed5b97860f5d6185aa",
    "musiq_ava_ckpt-e8d3f067.pth": "e8d3f0671965dfe4301a1f7a4aedc8f49be8fed33b82dd5d116a9eb3ce2bd16b",
    "musiq_spaq_ckpt-358bb6af.pth": "358bb6af275e28ea56821d44fb55c6cb83645db11f394d3ad65b2d149965ab50",
    "cfanet_nr_koniq_res50-9a73138b.pth": "9a73138beb3748dd6a83365610ac88fa1cd53225342c77fc9ed44a3be461354c",
    "cfanet_iaa_ava_swin-393b41b4.pth": "393b41b49c41bf0ffa43ab7e13b26f374e211085f5fe2eba3408e89c8b67f935",
    "cfanet_iaa_ava_res50-3cd62bb3.pth": "3cd62bb33f9933ed7c6e3d5e79129e81c898eba78b7a2af516a0b0b974616975",
    "sac+logos+ava1-l14-linearMSE.pth": "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
}
"""SHA-256 of files, in full, as projects that use them have published it."""
_READ: dict[tuple[Path, int, int], str] = {}
"""SHA-256 of files that were read, by path, size and time of change."""
_IN_URL = re.compile(r"/([0-9a-f]{64})/")
_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")


def file_name(url: str) -> str:
    """The name of the file at that address."""
    return urllib.parse.unquote(urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1])


def known_digest(url: str) -> str | None:
    """Digits that the file's SHA-256 begins with: published, part of the address (OpenAI's CLIP), or part of the name.

    The last is the convention of torch.hub: name-0123abcd.pth holds the first digits of its own SHA-256.
    """
    name = file_name(url)
    if name in PINS:
        return PINS[name]
    found = _IN_URL.search(url) or _IN_NAME.search(name)
    return found[1] if found else None


def check_digest(file: Path, digest: str, url: str) -> None:
    """Raise UserError unless a file's SHA-256 begins with these digits; a file is read once until it changes."""
    state = file.stat()
    key = file, state.st_size, state.st_mtime_ns
    found = _READ[key] = _READ.get(key) or digest_of(file)
    if not found.startswith(digest.lower()):
        raise UserError(
            f"weights file {file.name}: it is damaged or another one: its SHA-256 begins with {found[: len(digest)]}, "
            f"that of the published file with {digest}; fetch {file} again from {url}"
        )


def caches() -> list[Path]:
    """Where pyiqa, torch.hub and CLIP keep what they have fetched."""
    hub = Path(torch.hub.get_dir())
    return [hub / "pyiqa", hub / "checkpoints", hub / "clip", Path.home() / ".cache" / "clip"]


@dataclass(frozen=True)
class WeightStore:
    """Folders with quality models' weights and prior files.

    Attributes:
        folders: searched in this order, before the caches of pyiqa and torch.hub; downloads go to the first.
        download: whether files that are nowhere may be fetched; only those whose SHA-256 is known are.
        progress: told about downloads.
        switch: by which ``download`` can be turned on where this is used, for errors; "" where there is none.
    """

    folders: tuple[Path, ...] = ()
    download: bool = False
    progress: Progress | None = None
    switch: str = ""

    def find(self, name: str) -> Path | None:
        """The file of that name, or its conversion to safetensors; None if it is nowhere."""
        safe = Path(name).with_suffix(".safetensors").name
        for folder in self.folders:
            for candidate in (safe, name):
                if (folder / candidate).is_file():
                    return folder / candidate
        for folder in caches():
            for candidate in (name, urllib.parse.quote(name)):  # pyiqa keeps the escapes of the address
                if (folder / candidate).is_file():
                    return folder / candidate
        return None

    def maps(self) -> dict[str, FittedMap]:
        """Maps to the common scale that were fitted here: those of the first folder that has a file of them.

        Raises:
            UserError: if that file is damaged.
        """
        file = next((folder / maps.NAME for folder in self.folders if (folder / maps.NAME).is_file()), None)
        return {} if file is None else maps.read(file)

    def locate(self, url: str) -> Path:
        """The file that pyiqa would fetch from there.

        Raises:
            UserError: if it is nowhere and may not, or could not, be downloaded, or is another file than its known
                digest, such as the one in its own name, says; names the file, folder and source.
        """
        name, digest = file_name(url), known_digest(url)
        found = self.find(name)
        if found is not None:
            if digest is not None and found.suffix == Path(name).suffix:  # a conversion has another digest
                check_digest(found, digest, url)
            return found
        if self.download and digest is not None and self.folders:
            fetch(url, self.folders[0] / name, digest, self.progress)
            return self.folders[0] / name
        place = self.folders[0] if self.folders else caches()[0]
        why = (
            (f"nothing is downloaded unless {self.switch} is on" if self.switch else "nothing is downloaded here")
            if not self.download
            else "its SHA-256 is not published, so it is not downloaded"
            if digest is None
            else "there is no folder to download it to"
        )
        raise UserError(f"the weights file {name} is missing, and {why}. Fetch it from {url} and put it into {place}")


NOWHERE = WeightStore()
"""No folder but the caches."""
