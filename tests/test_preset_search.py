"""The search for the presets' values: what it tries, on what, and how it chooses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dmap.settings import PRESETS
from tools.benchmarks import presets
from tools.benchmarks.evidence.judges import Judges
from tools.benchmarks.evidence.methods import Tools
from tools.benchmarks.evidence.store import Store
from tools.demo import CLEAN
from toys import photograph


def test_every_preset_is_searched_but_the_defaults_and_the_papers() -> None:
    assert set(presets.CASES) == set(PRESETS) - {"default", "paper"}


@pytest.mark.parametrize("name", list(presets.CASES))
def test_what_a_preset_is_searched_on(name: str) -> None:
    """Spoilt, the same for the same seed; the shipped values are among the settings that are tried."""
    clean = photograph(1, 96).float()
    original, spoilt = presets.CASES[name].spoil(clean, torch.Generator().manual_seed(3))
    again = presets.CASES[name].spoil(clean, torch.Generator().manual_seed(3))[1]
    assert torch.equal(spoilt, again)
    assert 0.002 < float((spoilt - original).abs().mean()) < 0.2
    shipped = presets.settings(name)[presets.NOW]
    assert shipped.fidelity_weight == PRESETS[name].settings.fidelity_weight
    assert shipped.strength == PRESETS[name].settings.strength
    assert len(presets.settings(name)) == 25


def rows(ssim: float, judge: float, niqe: float) -> list[presets.Row]:
    return [{"photo": str(i), "ssim": ssim + i / 100, "judge": judge, "niqe": niqe} for i in range(2)]


def test_the_choice_is_the_judges_among_what_keeps_ssim() -> None:
    """The judge's scale goes up, NIQE's down; what loses SSIM is out however much they like it."""
    found = {
        presets.INPUT: rows(0.80, 50, 6.0),
        "greasy": rows(0.70, 90, 3.0),
        "careful": rows(0.80, 55, 5.5),
        "better": rows(0.79, 60, 5.0),
        "worse": rows(0.82, 45, 7.0),
    }
    assert presets.choose(found, 0.02) == ("better", True)
    assert presets.choose(found, 0.0) == ("careful", True)
    lost = {presets.INPUT: rows(0.9, 50, 6.0), "a": rows(0.7, 90, 3.0), "b": rows(0.75, 10, 9.0)}
    assert presets.choose(lost, 0.01) == ("b", False)


def test_a_setting_is_tried_measured_and_kept(tmp_path: Path) -> None:
    shipped, judges, store = Tools(), Judges(), Store(tmp_path)
    how = replace(presets.settings("gentle photo")[presets.NOW], iterations=1, steps=1)
    calls: list[str] = []

    def compute() -> list[presets.Row]:
        calls.append("computed")
        return presets.tried(shipped, judges, "gentle photo", how, [CLEAN], 176)

    found = {presets.INPUT: presets.tried(shipped, judges, "gentle photo", None, [CLEAN], 176)}
    found |= {name: store.rows("one", compute) for name in (presets.NOW, "the same again")}
    assert calls == ["computed"]
    assert found[presets.NOW] == found["the same again"]
    assert found[presets.NOW][0]["psnr"] != found[presets.INPUT][0]["psnr"]
    text = presets.report("gentle photo", found)
    assert text.startswith("## gentle photo")
    assert "| as shipped |" in text
