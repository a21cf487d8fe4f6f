"""The way in: a photograph of any size with alpha, holes and a mask, from the library, the command and the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dmap
from dmap.cli import main
from dmap.image.files import About, read_photograph, write_picture
from dmap.image.photograph import Photograph
from dmap.priors import CAREFUL
from dmap.priors.compose import MixedPrior
from dmap.priors.guide import CAREFUL_WEIGHT
from dmap.restoration import cleaned, invert, prepare
from toys import photograph

ROOT = Path(__file__).resolve().parent.parent
QUICK = {"steps": 1, "iterations": 1, "fidelity_weight": 5.0}
PROFILE = bytes(16) + b"RGB of a profile"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """98 x 90 px, no multiples of the latent grid, with alpha, a colour profile, EXIF data and dpi."""
    file = tmp_path / "in.png"
    pixels = torch.cat([photograph(1, 98)[..., :90, :], torch.linspace(0, 1, 98).expand(1, 1, 90, 98)], dim=1).float()
    exif = Image.Exif()
    exif[0x010E] = "a harbour"
    write_picture(pixels, file, About(exif.tobytes(), PROFILE, (300.0, 300.0)))
    return file


def test_the_command_and_the_library_give_the_same_bytes(photo: Path) -> None:
    out, ours = photo.with_name("command.png"), photo.with_name("library.png")
    options = [word for name, value in QUICK.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["restore", str(photo), str(out), *options]) == 0
    dmap.restore(photo, **QUICK).save(ours)
    assert out.read_bytes() == ours.read_bytes()
    with Image.open(out) as image, Image.open(photo) as before:
        assert image.size == (98, 90)
        assert image.mode == "RGBA"
        assert np.array_equal(np.array(image)[..., 3], np.array(before)[..., 3])
        assert not np.array_equal(np.array(image), np.array(before))
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[0x010E] == "a harbour"
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_the_padding_is_not_scored(photo: Path) -> None:
    """The prior sees the photograph's own pixels: its first score is that of the round trip cut to their size."""
    restored = dmap.restore(photo, prior="dmap_quality", **{**QUICK, "shift": 0, "detail": "0", "clean": "off"})
    model, prior = dmap.shipped(), dmap.load_prior("dmap_quality")
    y = read_photograph(photo)[0]
    with torch.no_grad():
        trip = model.decode(model.encode(y.padded(model.multiple)))[..., :90, :98]
        assert restored.trace.rows[0].prior == pytest.approx(prior(trip.clamp(0, 1)).tolist(), abs=1e-3)
        assert restored.trace.photograph_prior == pytest.approx(prior(y.shown).tolist(), abs=1e-3)


def test_only_what_the_mask_allows_changes(photo: Path) -> None:
    y = read_photograph(photo)[0]
    mask = torch.zeros(1, 1, 90, 98)
    mask[..., 20:60, 20:60] = 1
    image = dmap.restore(photo, mask=mask, **QUICK).image
    assert torch.equal(image[..., 60:], torch.cat([y.pixels, y.alpha], dim=1)[..., 60:])  # type: ignore[list-item]
    assert not torch.equal(image[:, :3, 30:50, 30:50], y.pixels[..., 30:50, 30:50])


def test_cleaning_keeps_to_the_mask_and_can_be_left_out() -> None:
    noise = 0.06 * torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    noisy = (photograph(1, 96).float() + noise).clamp(0, 1)
    mask = torch.zeros(1, 1, 96, 96)
    mask[..., :48] = 1
    one = dmap.Photograph.of(noisy)
    with_mask, notes = cleaned(replace(one, mask=mask))
    assert notes[0].startswith("cleaned: noise of")
    assert torch.equal(with_mask.pixels[..., 48:], noisy[..., 48:])
    assert not torch.equal(with_mask.pixels[..., :48], noisy[..., :48])
    assert cleaned(one, dmap.Settings(clean="off")) == (one, ())


def test_a_fidelity_weight_means_the_same_for_every_prior() -> None:
    """On the common scale the objective's weight is in proportion to what a careful ascent of the prior asks for."""
    y, model = photograph(1, 96).float(), dmap.shipped()
    weights = {}
    for name in ("dmap_quality", "dmap_guide"):
        prior = dmap.load_prior(name).eval().requires_grad_(False)
        for scale in ("common", "absolute"):
            settings = dmap.Settings(steps=1, fidelity_weight=120.0, scale=scale)
            path, _ = invert(model, model.encode(y), settings, dmap.Photograph(y))
            weights[name, scale] = prepare(model, path, prior, settings).objective.fidelity_weight
    assert weights["dmap_quality", "common"] == weights["dmap_quality", "absolute"] == 120
    assert weights["dmap_guide", "absolute"] == 120
    assert weights["dmap_guide", "common"] == pytest.approx(120 * CAREFUL_WEIGHT / CAREFUL)
    mixed = MixedPrior([dmap.load_prior(name) for name in ("dmap_quality", "dmap_guide")], [1, 3])
    assert mixed.info.careful_weight == pytest.approx((CAREFUL + 3 * CAREFUL_WEIGHT) / 4)


def test_a_batch_of_tensors_is_each_alone() -> None:
    both = photograph(2, 72).float()
    together = dmap.restore(both, **QUICK).image
    alone = torch.cat([dmap.restore(one[None], **QUICK).image for one in both])
    assert float((together - alone).abs().max()) < 2e-3


def test_wrong_words_are_named(photo: Path) -> None:
    with pytest.raises(dmap.UserError, match="there is no strenght; choose of clean, solver"):
        dmap.restore(photo, strenght=0.2)
    with pytest.raises(dmap.UserError, match="there is no such file"):
        dmap.restore(photo.with_name("nothing.png"))
    with pytest.raises(dmap.UserError, match="it only judges"):
        dmap.restore(photo, prior="dmap_judge", **QUICK)
    with pytest.raises(dmap.UserError, match="needs a judge"):
        dmap.Safeguards(keep="judge")


def test_a_judge_can_be_loaded_by_name() -> None:
    assert dmap.prior_names()[-1] == "dmap_judge"
    assert 0 < float(dmap.load_prior("dmap_judge")(photograph(1, 96).float())) < 100


def test_photographs_are_made_whole() -> None:
    y = photograph(1, 30)
    for wrong in (
        lambda: Photograph(y[0]),
        lambda: Photograph(y, mask=torch.ones(1, 1, 4, 4)),
        lambda: Photograph(y, alpha=torch.ones(2, 1, 30, 30)),
        lambda: Photograph(y * torch.nan),
        lambda: Photograph.of(torch.ones(1, 2, 4, 4)),
    ):
        with pytest.raises(dmap.UserError):
            wrong()
    grey = Photograph.of(y[:, :1].float())
    assert grey.padded(16).shape == (1, 3, 32, 32)
    assert torch.equal(grey.padded(16)[..., :30, :30], grey.pixels)
    hole = torch.ones(1, 1, 30, 30, dtype=y.dtype)
    hole[..., 5:9, 5:9] = 0
    spoilt = replace(Photograph(torch.where(hole > 0, y, 1.5)), known=hole)
    assert float(spoilt.padded(4).max()) <= 1
    assert float(spoilt.residual(torch.zeros_like(y))[..., 5:9, 5:9].abs().max()) == 0


def test_the_readmes_lines_run_as_printed(photo: Path) -> None:
    """At the size of a stamp."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(code.strip().splitlines()) <= 5
    with Image.open(photo) as image:
        image.resize((80, 72)).convert("RGB").save(photo.with_name("old.jpg"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=photo.parent, env=environment)
    with Image.open(photo.with_name("better.png")) as image:
        assert image.size == (80, 72)
