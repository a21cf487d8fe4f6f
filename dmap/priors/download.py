"""One file over HTTPS: resumable, with progress, and kept only if its SHA-256 is the expected one."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UserError

Progress = Callable[[str, int, int], None]
"""(file name, bytes so far, bytes in all or 0 if unknown); may raise to stop."""
SECONDS = 30
BLOCK = 1 << 20


def fetch(url: str, target: Path, sha256: str, progress: Progress | None = None) -> None:
    """Download a file. What has arrived of it stays in ``target`` + ".part" when it stops, and is not fetched again.

    Args:
        url: https, or http on this machine's loopback.
        target: where it goes; its folder is made if it is missing.
        sha256: hexadecimal digits that the file's SHA-256 must begin with, at least 8.
        progress: told about every block.

    Raises:
        UserError: if the folder cannot be written, the network fails, or the digest is another one.
    """
    _check_url(url)
    if len(sha256) < 8:
        raise UserError(f"{target.name}: nothing is downloaded without a SHA-256 to check it by")
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            digest = _receive(url, target.name, file, progress)
        if not digest.startswith(sha256.lower()):
            part.unlink()
            raise UserError(
                f"{target.name}: what {url} sent has SHA-256 {digest}, expected {sha256}; it was thrown away. "
                "Try again; if that does not help, the file at the source has changed and must not be trusted"
            )
        os.replace(part, target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"{target.name}: downloading it from {url} failed ({error}); run again to go on where it stopped, or put "
            f"the file into {target.parent} yourself"
        ) from error
    except OSError as error:
        raise UserError(
            f"{target.name}: it cannot be written to {target.parent} ({error}); make the folder writable or put "
            f"the file from {url} there yourself"
        ) from error


def _check_url(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1")):
        raise UserError(f"{url}: only https sources are downloaded from")


def _receive(url: str, name: str, file: Any, progress: Progress | None) -> str:
    """Append what is missing to an open file; returns the SHA-256 of the whole."""
    have = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return digest_of(Path(file.name))  # it was complete already, or is not this file: the digest tells
    with answer:
        _check_url(answer.geturl())
        if have and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            file.truncate(0)
            have = 0
        total = have + int(answer.headers.get("Content-Length") or 0)
        if total - have > shutil.disk_usage(Path(file.name).parent).free:
            raise OSError(f"{(total - have) >> 20} MiB are needed and not free")
        while block := answer.read(BLOCK):
            file.write(block)
            have += len(block)
            if progress is not None:
                progress(name, have, total)
    file.flush()
    if have < total:
        raise ConnectionError(f"it ended after {have} of {total} bytes")
    return digest_of(Path(file.name))


def digest_of(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
