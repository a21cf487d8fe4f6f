"""Prior files: mixtures as JSON, read strictly."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dmap.cli import main
from dmap.image.files import write_picture
from dmap.priors import PRIORS, WeightStore, load_prior, prior_names
from dmap.priors.priorfile import LARGEST, PriorFile, read, write
from toys import photograph

GOOD: dict[str, Any] = {
    "format": "dmap-prior",
    "version": 1,
    "name": "two of a kind",
    "mix": "softmin",
    "parts": [{"prior": "dmap_quality", "weight": 2}],
}


def test_written_and_read_again(tmp_path: Path) -> None:
    prior = PriorFile("Überblick", "mean", (("dmap_quality", 0.25), ("pyiqa:niqe", 0.75)))
    write(prior, tmp_path / "a.json")
    assert read(tmp_path / "a.json") == prior
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_it_is_offered_and_loaded_by_name(tmp_path: Path) -> None:
    store = WeightStore((tmp_path / "missing", tmp_path))
    write(PriorFile("mixture", "mean", (("dmap_quality", 3.0),)), tmp_path / "mixture.json")
    (tmp_path / "other.json").write_text("{}")
    assert prior_names(store)[: len(PRIORS) + 1] == [*PRIORS, "file:mixture.json"]
    prior, image = load_prior("file:mixture.json", store), photograph(1, 96).float()
    assert prior.info.name == "mixture"
    assert [leaf.info.name for leaf in prior.leaves()] == ["dmap_quality"]
    with torch.no_grad():
        assert torch.equal(prior(image), load_prior("dmap_quality")(image))


def test_the_command_line_climbs_it(tmp_path: Path) -> None:
    write(PriorFile("mixture", "mean", (("dmap_quality", 3.0),)), tmp_path / "mixture.json")
    write_picture(photograph(1, 96).float(), tmp_path / "in.png")
    options = ["--prior", "file:mixture.json", "--steps", "2", "--iterations", "1"]
    places = [str(tmp_path / "in.png"), str(tmp_path / "out.png")]
    assert main(["restore", *places, *options]) == 2
    assert main(["restore", *places, *options, "--weights", str(tmp_path)]) == 0
    assert (tmp_path / "out.png").exists()


def test_a_part_without_gradient_is_refused_on_the_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(PriorFile("mixture", "mean", (("dmap_quality", 3.0), ("pyiqa:piqe", 1.0))), tmp_path / "mixture.json")
    write_picture(photograph(1, 96).float(), tmp_path / "in.png")
    places = [str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--weights", str(tmp_path)]
    assert main(["restore", *places, "--prior", "file:mixture.json", "--steps", "2", "--iterations", "1"]) == 2
    assert "prior pyiqa:piqe: its gradient is zero everywhere for this image" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "not a prior file"),
        ({"version": 2}, "version 2"),
        ({"version": None}, "version None"),
        ({"name": " "}, "name is empty"),
        ({"name": 7}, "a text"),
        ({"mix": "max"}, "choose one of mean, softmin"),
        ({"parts": []}, "at least one prior"),
        ({"parts": "dmap_quality"}, "parts is 'dmap_quality', a list is expected"),
        ({"parts": ["dmap_quality"]}, "an object is expected"),
        ({"parts": [{"prior": "dmap_quality"}]}, "lacks weight"),
        ({"parts": [{"prior": "dmap_quality", "weight": "1"}]}, "weight is '1', a number"),
        ({"parts": [{"prior": "dmap_quality", "weight": True}]}, "weight is True, a number"),
        ({"parts": [{"prior": "dmap_quality", "weight": -1}]}, "weights"),
        ({"parts": [{"prior": "dmap_quality", "weight": 0}]}, "weights"),
        ({"parts": [{"prior": "dmap_quality", "weight": float("nan")}]}, "NaN"),
        ({"parts": [{"prior": "dmap_quality", "weight": 1}] * 2}, "each once"),
        ({"parts": [{"prior": "file:a.json", "weight": 1}]}, "no prior file"),
    ],
)
def test_bad_content_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(GOOD | change))
    with pytest.raises(ValueError, match=words) as caught:
        read(file)
    assert "bad.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b'{"format": "dmap-pr', b"\xff\xfe", b"[" * 100_000, b" " * (LARGEST + 1)])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.json"):
        read(tmp_path / "bad.json")
    with pytest.raises(ValueError, match=r"none\.json"):
        read(tmp_path / "none.json")


@pytest.mark.parametrize("name", ["file:../secret.json", "file:/etc/passwd", "file:a.txt", "file:", "file:none.json"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "iqa").mkdir()
    (tmp_path / "secret.json").write_text(json.dumps(GOOD))
    with pytest.raises(ValueError, match="name: "):
        load_prior(name, WeightStore((tmp_path / "iqa",)))
