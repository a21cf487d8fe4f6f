"""Weight files: found, fetched from a server on loopback, converted, and refused when they are something else."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from weighttoys import Trap

from dmap.cli import main
from dmap.priors.checkpoint import convert, read_checkpoint
from dmap.priors.download import fetch
from dmap.priors.weights import PINS, WeightStore, caches, file_name, known_digest

CONTENT = os.urandom(3 << 20)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"weights-{DIGEST[:8]}.pth"


@dataclass
class Source:
    """What the server was asked for, and how it misbehaves."""

    port: int = 0
    ranges: list[str | None] = field(default_factory=list)
    stop_after: int | None = None
    resumes: bool = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/files/{NAME}"


@pytest.fixture
def source() -> Iterator[Source]:
    told = Source()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            told.ranges.append(wanted)
            first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and told.resumes else 0
            if first >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(CONTENT) - first))
            self.end_headers()
            self.wfile.write(CONTENT[first : told.stop_after])

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told
    server.shutdown()
    server.server_close()


def test_a_file_is_fetched_checked_and_found_again(source: Source, tmp_path: Path, empty_caches: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    store = WeightStore((tmp_path / "iqa",), True, lambda *state: seen.append(state))
    file = store.locate(source.url)
    assert file.read_bytes() == CONTENT
    assert file == tmp_path / "iqa" / NAME
    assert seen[-1] == (NAME, len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert len(seen) > 1
    assert [path.name for path in file.parent.iterdir()] == [NAME]
    assert store.locate(source.url) == file
    assert len(source.ranges) == 1


def test_it_goes_on_where_it_stopped(source: Source, tmp_path: Path) -> None:
    source.stop_after = 1_000_000
    with pytest.raises(ValueError, match=r"run again to go on") as caught:
        fetch(source.url, tmp_path / NAME, DIGEST)
    assert source.url in str(caught.value)
    assert not (tmp_path / NAME).exists()
    source.stop_after = None
    fetch(source.url, tmp_path / NAME, DIGEST)
    assert source.ranges == [None, "bytes=1000000-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_server_that_cannot_resume_starts_over(source: Source, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * 1000)
    source.resumes = False
    fetch(source.url, tmp_path / NAME, DIGEST)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_an_interrupt_keeps_what_has_arrived(source: Source, tmp_path: Path) -> None:
    def stop(_: str, done: int, __: int) -> None:
        if done > 1 << 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(source.url, tmp_path / NAME, DIGEST, stop)
    assert (tmp_path / f"{NAME}.part").stat().st_size > 1 << 20
    fetch(source.url, tmp_path / NAME, DIGEST)
    assert source.ranges[-1] == f"bytes={2 << 20}-"


def test_another_file_is_thrown_away(source: Source, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHA-256") as caught:
        fetch(source.url, tmp_path / NAME, "0" * 64)
    assert DIGEST in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("leftover", [CONTENT, CONTENT + b"more"])
def test_a_part_that_is_complete_or_too_long(source: Source, tmp_path: Path, leftover: bytes) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(leftover)
    if leftover == CONTENT:
        fetch(source.url, tmp_path / NAME, DIGEST)
        assert (tmp_path / NAME).read_bytes() == CONTENT
    else:
        with pytest.raises(ValueError, match="SHA-256"):
            fetch(source.url, tmp_path / NAME, DIGEST)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(source: Source, tmp_path: Path) -> None:
    (tmp_path / "iqa").write_text("a file where the folder should be")  # also stops root, unlike permissions
    with pytest.raises(ValueError, match="cannot be written") as caught:
        fetch(source.url, tmp_path / "iqa" / NAME, DIGEST)
    assert str(tmp_path / "iqa") in str(caught.value)


def test_without_network(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:9/{NAME}"  # the discard port: nobody listens
    with pytest.raises(ValueError, match=r"downloading it from .* failed") as caught:
        fetch(url, tmp_path / NAME, DIGEST)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("url", ["http://example.com/a-01234567.pth", "ftp://127.0.0.1/a", "file:///etc/passwd"])
def test_only_https(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only https"):
        fetch(url, tmp_path / "a", DIGEST)


def test_nothing_is_fetched_unasked_or_unchecked(source: Source, tmp_path: Path, empty_caches: Path) -> None:
    folder = tmp_path / "iqa"
    for store, url, words in (
        (WeightStore((folder,)), source.url, "nothing is downloaded here"),
        (WeightStore((folder,), True), source.url.replace(NAME, "plain.pth"), "SHA-256 is not published"),
        (WeightStore((), True), source.url, "no folder to download it to"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            store.locate(url)
        text = str(caught.value)
        assert file_name(url) in text
        assert url in text
        assert str(folder if store.folders else caches()[0]) in text
    assert source.ranges == []


def test_digests_are_those_that_are_known() -> None:
    clip = "https://openaipublic.azureedge.net/clip/models/" + "a" * 64 + "/RN50.pt"
    assert known_digest(clip) == "a" * 64
    assert known_digest("https://a.b/c/model-0123abcd.pth") == "0123abcd"
    assert known_digest("https://a.b/musiq_koniq_ckpt-e95806b9.pth?download=true").startswith("e95806b9eae5f381")  # type: ignore[union-attr]
    for plain in ("UNIQUE.pt", "liqe_mix.pt", "model-v2.pth", "model-0123abc.pth"):
        assert known_digest(f"https://a.b/{plain}") is None
    assert file_name("https://a.b/CLIP-IQA%2B_prompts.pth?x=1") == "CLIP-IQA+_prompts.pth"


def test_pinned_digests_are_whole_and_agree_with_the_names() -> None:
    for name, digest in PINS.items():
        assert re.fullmatch(r"[0-9a-f]{64}", digest), name
        known = re.search(r"-([0-9a-f]{8})\.pth$", name)
        assert known is None or digest.startswith(known[1]), name


def test_the_folder_comes_before_the_caches(tmp_path: Path, empty_caches: Path) -> None:
    cache = caches()[0]
    assert cache.is_relative_to(empty_caches)
    cache.mkdir(parents=True)
    store = WeightStore((tmp_path / "iqa",))
    assert store.find("CLIP-IQA+a.pth") is None
    (cache / "CLIP-IQA%2Ba.pth").touch()  # as pyiqa names it
    assert store.find("CLIP-IQA+a.pth") == cache / "CLIP-IQA%2Ba.pth"
    store.folders[0].mkdir()
    (store.folders[0] / "CLIP-IQA+a.pth").touch()
    assert store.find("CLIP-IQA+a.pth") == store.folders[0] / "CLIP-IQA+a.pth"
    (store.folders[0] / "CLIP-IQA+a.safetensors").touch()
    assert store.find("CLIP-IQA+a.pth") == store.folders[0] / "CLIP-IQA+a.safetensors"


def test_pickles_are_never_run(tmp_path: Path) -> None:
    torch.save({"params": {"a": torch.ones(2)}, "more": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for name in ("trap.pth", "plain.pth"):
        with pytest.raises(ValueError, match=f"{name}: it is damaged, or a pickle"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("length", [0, 10, 400, -1])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_damaged_files_are_refused(tmp_path: Path, name: str, length: int) -> None:
    torch.save({"a": torch.randn(200)}, tmp_path / "whole.pth")
    convert(tmp_path / "whole.pth", tmp_path / "whole.safetensors")
    whole = (tmp_path / f"whole{Path(name).suffix}").read_bytes()
    (tmp_path / name).write_bytes(whole[:length] if length >= 0 else b"\0" * 2000)
    with pytest.raises(ValueError, match=f"weights file {name}"):
        read_checkpoint(tmp_path / name)


def test_conversion_keeps_the_structure(tmp_path: Path) -> None:
    """As pyiqa's loaders take it apart: nested dictionaries, pairs, a bare parameter."""
    shared = torch.randn(4, 5)
    for index, content in enumerate(
        [
            {"params": {"body.0.weight": shared, "again": shared}, "epoch": 7, "name": "x", "none": None},
            [torch.randn(3), torch.randn(3, 2).half()],
            torch.nn.Parameter(torch.randn(2, 16, 8)),
            {"a/b": {"": torch.tensor(3)}},
        ]
    ):
        source, target = tmp_path / f"{index}.pth", tmp_path / "out" / f"{index}.safetensors"
        torch.save(content, source)
        assert main(["convert-weights", str(source), "--out", str(tmp_path / "out")]) == 0
        assert same(content, read_checkpoint(target))
    assert main(["convert-weights", str(source), "--out", str(tmp_path / "out")]) == 2
    assert main(["convert-weights", str(source), "--out", str(tmp_path / "out"), "--overwrite"]) == 0


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return type(first) is type(second) and first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def test_a_conversion_into_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    (tmp_path / "iqa").write_text("a file where the folder should be")
    assert main(["convert-weights", str(tmp_path / "a.pth"), "--out", str(tmp_path / "iqa")]) == 2
    assert "iqa is no folder" in capsys.readouterr().err


def test_what_cannot_be_converted_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": {1.5: torch.ones(1)}}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(b"no")
    for name, words in (("a.pth", "1.5"), ("b.pth", "damaged"), ("c.pth", "c.pth")):
        assert main(["convert-weights", str(tmp_path / name)]) == 2
        assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("*.safetensors*"))
