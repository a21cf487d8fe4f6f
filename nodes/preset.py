"""The preset widget: in the browser web/presets.js sets the other widgets by it, without one the node does."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..dmap.errors import UserError
from ..dmap.settings import PRESETS, Settings

CUSTOM = "custom"
"""The widget's value when the other widgets are the user's own."""


def preset_input(stage: str) -> io.Input:
    """The widget of the node of a stage, "invert" or "ascend"."""
    texts = " ".join(f"{name}: {preset.text}" for name, preset in PRESETS.items())
    widget = io.Combo.Input(
        "preset",
        options=[CUSTOM, *PRESETS],
        default=CUSTOM,
        optional=True,
        tooltip=f"Named settings; choosing one sets the widgets of this node and of the DMAP nodes it is linked to. "
        f"custom: the widgets as they are. {texts}",
    )
    widget.extra_dict = {"dmap_presets": {name: preset.values(stage) for name, preset in PRESETS.items()}}
    return widget


def with_preset(name: str, stage: str, **widgets: Any) -> Settings:
    """The widgets' values, replaced by those that the preset names.

    Raises:
        UserError: for an unknown preset, or a value out of range.
    """
    if name != CUSTOM and name not in PRESETS:
        raise UserError(f"preset: got {name!r}, choose one of {', '.join([CUSTOM, *PRESETS])}")
    return Settings(**widgets if name == CUSTOM else {**widgets, **PRESETS[name].values(stage)})
