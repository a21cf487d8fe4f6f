"""Files and values that others made: read whole, read right, or refused by name; nothing else is ever raised."""

from __future__ import annotations

import ast
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from checkout import ROOT
from dmap import jsonfile
from dmap.cli import main
from dmap.compare import parts, ranking, study, votes
from dmap.compare.folder import Cell, Folder, Input
from dmap.compare.plan import Plan
from dmap.degradations import JPEG, Downscale, GaussianBlur, MotionBlur
from dmap.errors import UserError
from dmap.image.agreement import BOUND, disagreement
from dmap.image.files import read_photograph, write_picture
from dmap.image.layout import Layout
from dmap.image.photograph import Photograph, picture_values
from dmap.method.path import LatentPath
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from dmap.models.diffusion import shipped
from dmap.models.store import load_model
from dmap.priors import load_prior, maps, priorfile
from dmap.priors.checkpoint import convert, read_checkpoint
from dmap.priors.compose import MultiScalePrior
from dmap.priors.weights import WeightStore
from dmap.restoration import prepare
from dmap.settings import Settings, default, describe
from tools.training.__main__ import main as train
from toys import SmoothnessPrior, photograph

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FEW = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def places(value: Any) -> list[list[Any]]:
    """The keys that lead to everything inside of a value."""
    found: list[list[Any]] = [[]]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += [[key, *rest] for rest in places(item)]
    return found


def refused(call: Callable[[], Any]) -> str | None:
    """The text of the UserError that a call ends with, if it does."""
    try:
        call()
    except UserError as error:
        return str(error)
    return None


def spoilt(value: Any, place: list[Any], other: Any) -> Any:
    """A value in which one place holds something else."""
    if not place:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = spoilt(copy[place[0]], place[1:], other)
    return copy


PRIOR = {
    "format": "dmap-prior", "version": 1, "name": "a", "mix": "mean",
    "parts": [{"prior": "dmap_nss", "weight": 1.0}, {"prior": "dmap_spectrum", "weight": 2}],
}  # fmt: skip
MAPS = {
    "format": "dmap-maps", "version": 1,
    "maps": {"a": {"midpoint": 1.0, "slope": 2.0, "weights": "x", "scores": 3, "source": "s"}},
}  # fmt: skip
TRIALS = [
    {"id": f"t{number}", "kind": "pair", "photograph": "p", "degradation": "none", "level": 0.05, "a": "i1", "b": "i2",
     "model_a": "m", "model_b": "n", "group": 1}
    for number in range(2)
]  # fmt: skip


def key_content() -> dict[str, Any]:
    made = study.Study("", "c", ("m", "n"), tuple(study.Trial(**one) for one in TRIALS), "random", 0, ("x", "y"))
    made = replace(made, id=study._identity(made))
    return json.loads(json.dumps({"format": "dmap-study", "version": 3, **made.__dict__}, default=vars))


def vote_content() -> dict[str, Any]:
    rows = [{"trial": f"t{number}", "left": "i1", "right": "i2", "choice": "left", "ms": 900} for number in range(2)]
    content: dict[str, Any] = {
        "format": "dmap-votes", "version": 1, "study": key_content()["id"], "observer": "o", "votes": rows,
    }  # fmt: skip
    return {**content, "checksum": votes.checksum(votes.canonical(content))}


def write(file: Path, content: Any) -> Path:
    file.write_text(json.dumps(content), encoding="utf-8", errors="surrogatepass")
    return file


def read_votes(file: Path) -> Any:
    return votes.read([file], study.read_key(write(file.with_name("key.json"), key_content())))


READERS: dict[str, tuple[Any, Any]] = {
    "prior file": (PRIOR, priorfile.read),
    "maps": (MAPS, maps.read),
    "study key": (key_content(), study.read_key),
    "votes": (vote_content(), read_votes),
    "comparison": ({"format": "dmap-comparison", "version": 2}, lambda file: Folder(file.parent).open(True)),
}


@pytest.mark.parametrize("kind", READERS)
@FEW
@given(data=st.data())
def test_a_spoilt_file_is_refused_by_name_or_read(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever stands in any one place of it."""
    content, read = READERS[kind]
    place = data.draw(st.sampled_from(places(content)))
    file = write(tmp_path / "spoilt.json", spoilt(content, place, data.draw(ANYTHING)))
    said = refused(lambda: read(file))
    assert said is None or "spoilt.json" in said or kind == "comparison"


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "text",
    ["", "[", "nul", "[" * 100_000, "9" * 5000, '{"a": ' + "9" * 400 + "}", "1e999", "NaN", "-Infinity", "\ufeff{}"],
)
def test_text_that_is_no_file_of_ours(kind: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "spoilt.json"
    file.write_text(text, encoding="utf-8")
    try:
        READERS[kind][1](file)
    except UserError:
        return
    assert kind in ("votes", "comparison")  # the first lists what it left out, the second asks for its own file


@pytest.mark.parametrize("kind", READERS)
def test_nothing_waits_for_a_pipe(kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "spoilt.json")
    (tmp_path / "comparison.json").symlink_to("spoilt.json")
    if kind == "votes":
        assert "it is no file" in READERS[kind][1](tmp_path / "spoilt.json")[1][0].text
    else:
        with pytest.raises(UserError, match="it is no file"):
            READERS[kind][1](tmp_path / "spoilt.json")


@FEW
@given(value=ANYTHING)
@pytest.mark.parametrize("kind", [Plan, Cell, Input, ranking.Ranking, priorfile.PriorFile, Layout])
def test_shapes_raise_nothing_else(kind: Any, value: Any) -> None:
    try:
        found = jsonfile.shaped(kind, value)
    except UserError:
        return
    assert isinstance(found, kind)


def test_shapes_are_checked_whole() -> None:
    plan = Plan(priors=("a", "b")).to_json()
    read = Plan.from_json(json.loads(json.dumps(plan)))
    assert read == Plan(priors=("a", "b"))
    for place, value in (("levels", ["a"]), ("priors", "ab"), ("iterations", 2.5), ("shift", True), ("seed", None)):
        with pytest.raises(UserError, match=rf"plan\.{place}"):
            Plan.from_json({**plan, place: value})


RANKING = {
    "study": "s", "strategy": "random", "verdict": "v", "degradations": {}, "agreement": None, "photographs": 1,
    "resampled": "r", "problems": [],
    "overall": {"models": ["m", "n"], "strengths": [0.1, -0.1], "low": [0.0, 0.0], "high": [1.0, 1.0],
                "thurstone": [0.0, 0.0], "votes": [2, 2], "above": [0.5], "connected": True},
    "pairs": [{"photograph": "p", "degradation": "none", "level": 0.05, "a": "m", "b": "n", "votes_a": 1.0,
               "votes_b": 0.0}],
    "observers": [{"name": "o", "votes": 2, "catches": [1, 1], "repeats": [0, 0], "left": 0.5}],
}  # fmt: skip


OTHERS: Any = SimpleNamespace(identity="another", method="another", prints={}, names=["another"])


@FEW
@given(data=st.data())
def test_a_spoilt_ranking_never_reaches_the_page(tmp_path: Path, data: st.DataObject) -> None:
    """What is let through is whole: the same types at the same places."""
    place = data.draw(st.sampled_from([one for one in places(RANKING) if one]))
    content = spoilt(RANKING, place, data.draw(ANYTHING))
    file = tmp_path / "ranking.json"
    file.write_text(json.dumps({"format": "dmap-ranking", "version": 3, **content}), errors="surrogatepass")
    with pytest.raises(UserError, match="ranking"):  # at the least it is of no comparison
        parts.read("ranking", file, OTHERS)


@FEW
@given(name=st.sampled_from(sorted(describe())), value=ANYTHING | st.just(10**400) | st.just(torch.zeros(2)))
def test_a_setting_takes_its_type_and_range_only(name: str, value: Any) -> None:
    said = refused(lambda: Settings(**{name: value}))
    if said is not None:
        assert said.startswith(f"{name}: got ")
        assert len(said) < 600
        return
    found = getattr(Settings(**{name: value}), name)
    assert type(found) is type(default(name))
    assert found == value


@pytest.mark.parametrize(
    "made",
    [
        lambda value: GaussianBlur(value), lambda value: MotionBlur(value), lambda value: MotionBlur(5.0, value),
        lambda value: JPEG(value), lambda value: Downscale(value),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [1e9, math.nan, math.inf, -1e9, "a", None, 10**400])
def test_sizes_are_bounded_before_anything_is_made(made: Any, value: Any) -> None:
    with pytest.raises(UserError, match=r"got .*, it must be a number"):
        made(value)


def test_many_scales_are_refused() -> None:
    """Each is one more forward and backward pass of the prior: a list of 200 stood for hours."""
    with pytest.raises(UserError, match="scales: got 200"):
        MultiScalePrior(SmoothnessPrior(), [1.0] * 200)


# Values of pictures


@FEW
@given(
    low=st.floats(-300, 1), high=st.floats(0, 70000), kind=st.sampled_from(["uint8", "uint16", "int32", "float32"]),
)  # fmt: skip
def test_values_are_a_pictures_or_refused(low: float, high: float, kind: str) -> None:
    ramp = torch.linspace(min(low, high), max(low, high), 3 * 64).reshape(1, 3, 8, 8)
    image = ramp.to(getattr(torch, kind)) if kind != "uint16" else ramp.clamp(0, 65535).to(torch.uint16)
    try:
        found = Photograph.of(image)
    except UserError:
        assert kind in ("int32", "float32")
        return
    assert found.pixels.dtype == torch.float32
    assert float((found.pixels - found.pixels.clamp(0, 1)).abs().mean()) <= 0.05


def test_bytes_words_and_floats_are_one_picture() -> None:
    image = photograph(1, 16).float()
    as_bytes, words = image.mul(255).round().byte(), image.mul(65535).round().to(torch.int32).to(torch.uint16)
    assert torch.equal(picture_values(as_bytes), as_bytes.float() / 255)
    assert torch.allclose(picture_values(words), image, atol=1e-4)
    for wrong in (image * 255, 2 * image - 1, image.mul(255).int(), image + 1, image.to(torch.complex64)):
        with pytest.raises(UserError):
            picture_values(wrong)
    for spoil in (math.nan, math.inf):
        broken = image.clone()
        broken[0, 0, 0, 0] = spoil
        with pytest.raises(UserError, match="NaN or infinite"):
            Photograph.of(broken)
    sharpened = 1.1 * image - 0.03
    assert torch.equal(picture_values(sharpened), sharpened)


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
def test_float_pictures_are_read_right_or_refused(suffix: str, tmp_path: Path) -> None:
    """Never black, white or cut off, which is what Pillow's own conversions make of them."""
    grey = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    file = tmp_path / f"float{suffix}"
    wrong = [grey * 255, grey * 65535, grey * np.nan, np.where(grey > 0.5, np.inf, grey), grey * 2 - 1]
    pictures = [grey, *(one.astype(np.float32) for one in wrong), (grey * 1e6).astype(np.int32)]
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(file)
        said = refused(lambda: read_photograph(file))
        if said is None:
            assert number == 0
            assert np.abs(read_photograph(file)[0].pixels[0, 0].numpy() - grey).max() <= 0.5 / 255 + 1e-6
        else:
            assert file.name in said


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
@FEW
@given(data=st.data())
def test_damaged_pictures_are_refused_or_read(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes changed or cut off anywhere: nothing but a UserError, which names the file."""
    file = tmp_path / f"damaged.{kind.lower()}"
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, kind)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    said = refused(lambda: read_photograph(file))
    assert said is None or file.name in said


def test_names_that_are_not_unicode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A comparison of them, with its report; one broken file is left out and the rest goes on."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(2):
        write_picture(photograph(1, 72, seed=index).float(), folder / "x.png")
        os.rename(folder / "x.png", os.fsencode(folder) + f"/name{index}".encode() + b"\xff.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0garbage")
    out = str(tmp_path / "out")
    quick = ["--iterations", "1", "--searches", "1", "--size", "64", "--steps", "1"]
    priors = ["--priors", "dmap_nss", "dmap_spectrum"]
    assert main(["compare", "--photos", str(folder), "--out", out, *priors, *quick, "--shift", "0"]) == 0
    assert main(["report", out]) == 0
    assert "skipped broken.jpg" in capsys.readouterr().out
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "name0\\xff.png" in json.dumps(data, ensure_ascii=False).replace("\\\\", "\\").replace("udcff", "xff")


@pytest.mark.parametrize("kind", ["missing", "garbage", "cuda", "start"])
def test_training_shows_no_traceback(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    if kind != "missing":
        photos.mkdir()
        (photos / "garbage.jpg").write_bytes(b"no picture")
    more = {"cuda": ["--device", "cuda"], "start": ["--start", str(tmp_path / "nothing.safetensors")]}.get(kind, [])
    if kind == "cuda" and torch.cuda.is_available():
        more = ["--device", "cpu"]
    assert train(["quality", "--photos", str(photos), "--out", str(tmp_path / "out"), "--minutes", "0.01", *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1


def test_a_program_named_as_a_picture_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n")
    with pytest.raises(UserError, match="cannot be read as a picture"):
        read_photograph(file)


@pytest.mark.parametrize("folder", ["dmap", "nodes", "tools"])
def test_pictures_are_opened_by_named_formats_only(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                assert any(word.arg == "formats" for word in node.keywords), f"{file}:{node.lineno}"


OUTSIDE = ("fingerprint_inputs", "validate_inputs", "check_lazy_status")
SCHEMAS = ("define_schema", "_inputs", "_schema")


def test_nothing_that_the_host_calls_beside_execute_can_raise() -> None:
    """Such functions are guarded, and schemas read the disk by ``listed`` only."""
    seen = set()
    for file in (ROOT / "nodes").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            if node.name in OUTSIDE:
                assert any("never_raises(" in ast.unparse(one) for one in node.decorator_list), f"{file}:{node.lineno}"
                seen.add(file.name)
            if node.name in SCHEMAS:
                text = ast.unparse(node).replace("listed(files.saved_files)", "")
                text = text.replace("listed(lambda: prior_names(files.iqa_store())", "")
                assert "files." not in text, f"{file}:{node.lineno}"
                assert "prior_names(" not in text, f"{file}:{node.lineno}"
    assert seen == {"files.py", "optimize.py", "prior.py"}


# Weights


def test_keys_that_read_alike_stay_apart(tmp_path: Path) -> None:
    """Nested and flat, numbers and texts, in any order; nothing of one is taken for another's."""
    content = {
        "a/b": torch.tensor([1.0]), "a": {"b": torch.tensor([2.0]), "b'": torch.tensor([3.0])}, 1: torch.tensor([4.0]),
        "1": torch.tensor([5.0]), "list": [torch.tensor([6.0])], "list/0": torch.tensor([7.0]),
        "": torch.tensor([8.0]), "tensor": torch.tensor([9.0]), "/a/b": torch.tensor([10.0]),
    }  # fmt: skip
    torch.save(content, tmp_path / "w.pth")
    assert convert(tmp_path / "w.pth", tmp_path / "w.safetensors") == 10
    found = read_checkpoint(tmp_path / "w.safetensors")
    assert [float(found[key]) for key in ("a/b", 1, "1", "list/0", "", "tensor", "/a/b")] == [1, 4, 5, 7, 8, 9, 10]
    assert [float(found["a"]["b"]), float(found["a"]["b'"]), float(found["list"][0])] == [2, 3, 6]


@pytest.mark.parametrize("spoil", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_no_numbers_are_refused(spoil: float, kind: torch.dtype, tmp_path: Path) -> None:
    weights = {"good": torch.zeros(3, dtype=kind), "inner": {"bad": torch.tensor([0.0, spoil], dtype=kind)}}
    torch.save(weights, tmp_path / "w.pth")
    save_file({"bad": weights["inner"]["bad"]}, tmp_path / "plain.safetensors")
    for file in ("w.pth", "plain.safetensors"):
        with pytest.raises(UserError, match=rf"weights file {file}: .*bad holds values"):
            read_checkpoint(tmp_path / file)
    with pytest.raises(UserError, match="no finite numbers"):
        convert(tmp_path / "w.pth", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
    torch.save({"attn_mask": torch.full((2, 2), -math.inf)}, tmp_path / "mask.pth")
    assert "attn_mask" in read_checkpoint(tmp_path / "mask.pth")


def test_a_few_bytes_are_no_gigabytes(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1).expand(2**34), "v": torch.zeros(1)}, tmp_path / "small.pth")
    assert (tmp_path / "small.pth").stat().st_size < 5000
    with pytest.raises(UserError, match=r"small.pth: its tensors would take 65536 MiB, the file has \d+ bytes"):
        convert(tmp_path / "small.pth", tmp_path / "out.safetensors")
    base = torch.randn(100)
    torch.save({"tied": base, "other": base, "wide": torch.arange(3).expand(5, 3)}, tmp_path / "tied.pth")
    assert len(read_checkpoint(tmp_path / "tied.pth")) == 3


def test_a_model_with_broken_weights_is_refused(tmp_path: Path) -> None:
    from dmap import tensorfile
    from dmap.models.store import WEIGHTS

    tensors, header = tensorfile.read(WEIGHTS / "dmap_quality.safetensors", "model", "")
    tensors[next(iter(tensors))].view(-1)[0] = math.nan
    tensorfile.write(tmp_path / "broken.safetensors", tensors, header)
    with pytest.raises(UserError, match=r"broken.safetensors: .* no finite numbers"):
        load_model(tmp_path / "broken.safetensors")


def test_the_command_names_no_switch_that_it_does_not_have() -> None:
    with pytest.raises(UserError) as caught:
        WeightStore().locate("https://example.org/some-weights.pth")
    assert "switch" not in str(caught.value)
    with pytest.raises(UserError, match="the switch 'download' of a node"):
        WeightStore(switch="the switch 'download' of a node").locate("https://example.org/some-weights.pth")


# Paths


def small_path(**more: Any) -> LatentPath:
    schedule = Schedule(torch.tensor([0.5, 0.0], dtype=torch.float64))
    path = make_solver("residual_ddim").invert(lambda u, _: u * 0.5, schedule, torch.randn(2, 4, 4, 4))
    return replace(path, **more)


def test_a_paths_own_mask_is_kept_and_checked(tmp_path: Path) -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[1] = 1
    path = small_path(mask=mask)
    path.save(tmp_path / "p.safetensors")
    found = LatentPath.load(tmp_path / "p.safetensors")
    assert found.mask is not None
    assert torch.equal(found.mask, mask)
    assert torch.equal(found.image(1).mask, mask[1:])  # type: ignore[arg-type]
    single = replace(path, mask=mask[:1])
    assert single.image(1).mask is single.mask
    for wrong in (mask * 2, mask[:, 0], mask * math.nan, torch.cat([mask, mask])):
        small_path(mask=wrong).save(tmp_path / "w.safetensors")
        with pytest.raises(UserError, match=r"path file w\.safetensors"):
            LatentPath.load(tmp_path / "w.safetensors")


def test_pictures_of_other_ranges_in_a_path_file(tmp_path: Path) -> None:
    from dmap import tensorfile

    small_path().save(tmp_path / "p.safetensors")
    tensors, header = tensorfile.read(tmp_path / "p.safetensors", "path", "")
    tensorfile.write(
        tmp_path / "w.safetensors", {**tensors, "beside.photograph": torch.full((2, 3, 8, 8), 9.0)}, header
    )
    with pytest.raises(UserError, match=r"path file w.safetensors: its photograph: its values go from 9 to 9"):
        LatentPath.load(tmp_path / "w.safetensors")


# What belongs together


def test_a_picture_agrees_with_itself_but_not_with_another() -> None:
    one = photograph(2, 64).float()
    noise = 0.3 * torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
    assert float(disagreement(one, one).max()) == 0
    assert float(disagreement(one, (one + noise).clamp(0, 1)).max()) < 2 * BOUND  # clamping moves the means
    assert float(disagreement(one, 1 - one).min()) > BOUND
    assert float(disagreement(one, one.flip(1)).max()) > 0
    known = torch.ones(1, 1, 64, 64)
    known[..., 32:] = 0
    other = torch.where(known > 0, one, 1 - one)
    assert float(disagreement(one, other, known).max()) < 1e-6
    both = torch.cat([disagreement(one[:1], 1 - one[:1]), disagreement(one[1:], 1 - one[1:])])
    assert torch.allclose(disagreement(one, 1 - one), both)


def test_another_autoencoder_and_another_image_are_told() -> None:
    """Detail of 1 would make the start the photograph itself, whatever the autoencoder does."""
    model, image = shipped(), Photograph.of(photograph(1, 96).float())
    prior = load_prior("dmap_nss").eval().requires_grad_(False)
    quick = Settings(steps=1, iterations=1, detail="1", shift=0)
    schedule = Schedule.from_table(model.table, 1, 0.1)
    with torch.no_grad():
        latent = model.encode(image.padded(model.multiple))
        path = make_solver("residual_ddim").invert(model.denoise, schedule, latent, image.layout(), image)
    order = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6])
    other = replace(model, decode=lambda z: model.decode(z[:, order]))

    def notes(**more: Any) -> str:
        return " ".join(prepare(more.pop("model", model), path, prior, quick, **more).trace.notes)

    assert "warning" not in notes()
    assert "what the VAE gives back is another picture" in notes(model=other)
    assert "image is another picture than the one that was inverted" in notes(observed=1 - image.pixels)
    blurred = GaussianBlur(1.0)
    assert "warning" not in notes(observed=blurred(image.pixels), degradation=blurred)
    assert "image is another" in notes(observed=blurred(1 - image.pixels), degradation=blurred)
