"""Settings: one place of defaults, ranges and words, for nodes, command, presets and library."""

from __future__ import annotations

import copy
import json
from dataclasses import fields
from pathlib import Path

import pytest

from dmap import PRESETS, Settings, UserError
from dmap.errors import number_between
from dmap.method.ascent import AscentSettings
from dmap.settings import STAGES, default, describe, preset
from tools.pages import settings as settings_page

INTERFACE = json.loads((Path(__file__).parent / "host" / "node_interface.json").read_text(encoding="utf-8"))
NODES = {"clean": "DMAPCleanPhoto", "invert": "DMAPInvert", "ascend": "DMAPOptimize", "finish": "DMAPDecode"}


@pytest.mark.parametrize("stage", STAGES)
def test_the_nodes_widgets_have_the_settings_defaults(stage: str) -> None:
    widgets = {name: (value, choices) for name, _, value, choices in INTERFACE[NODES[stage]]["inputs"]}
    for name, about in describe().items():
        if about.stage == stage and name not in ("tile", "overlap", "clean"):  # DMAP Tiles, DMAP Clean Photo
            value, choices = widgets[about.widget or name]
            assert value == default(name), name
            assert choices is None or tuple(choices) == about.choices, name


def test_every_setting_says_what_it_does_and_its_default_is_allowed() -> None:
    for name, about in describe().items():
        assert about.stage in STAGES
        assert about.text.endswith("."), name
        assert Settings(**{name: default(name)}) == Settings()
        if about.choices:
            assert default(name) in about.choices
        else:
            assert about.low is not None
            assert about.high is not None
            assert about.low <= float(default(name)) <= about.high


@pytest.mark.parametrize("name", list(describe()))
def test_a_value_out_of_range_is_named(name: str) -> None:
    about = describe()[name]
    wrong = ["magic"] if about.choices else [about.low - 1, about.high + 1, float("nan"), "much", None, True]  # type: ignore[operator]
    for value in wrong:
        with pytest.raises(UserError, match=f"^{name}: got {value!r}".replace("(", r"\(")):
            Settings(**{name: value})
    if isinstance(default(name), int):
        with pytest.raises(UserError, match="whole number"):
            Settings(**{name: 1.5})


def test_an_ascent_has_the_same_defaults() -> None:
    for one in fields(AscentSettings):
        assert one.default == getattr(Settings, one.name)


def test_presets_say_what_nodes_take() -> None:
    for name, one in PRESETS.items():
        for stage in ("invert", "ascend"):
            widgets = {key for key, *_ in INTERFACE[NODES[stage]]["inputs"]}
            assert set(one.values(stage)) <= widgets, name
        assert preset(name) == one.settings
    assert preset("default") == Settings()
    with pytest.raises(UserError, match="choose one of"):
        preset("none")


def test_the_reference_is_current() -> None:
    """After a change of settings: python -m tools.pages.settings."""
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.text()


def test_an_error_says_its_parts_one_by_one() -> None:
    """As the text does; also with a place before it, and from another process."""
    with pytest.raises(UserError) as caught:
        number_between("tile", 7, 64, 4096, "512 is usual", whole=True, unit=" px")
    error = copy.copy(caught.value.within("DMAP Tiles, "))  # as other processes hand it on
    parts = (error.place, error.found, error.wanted, error.remedy)
    assert parts == ("DMAP Tiles, tile", "7", "a whole number from 64 to 4096 px", "512 is usual")
    assert str(error) == "DMAP Tiles, tile: got 7, it must be a whole number from 64 to 4096 px; 512 is usual"
    plain = UserError("it is a folder").within("photo.png: ")
    assert (plain.place, str(plain)) == ("photo.png", "photo.png: it is a folder")
    with pytest.raises(UserError) as caught:
        preset("x" * 5000)
    assert (caught.value.place, caught.value.remedy) == ("preset", "choose one of them")
    assert len(caught.value.found) < 100
    assert "gentle photo" in caught.value.wanted
