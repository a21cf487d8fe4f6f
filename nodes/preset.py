"""The preset widget: in the browser web/presets.js sets the other widgets by it, without one the node does."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..dmap.presets import PRESETS

CUSTOM = "custom"
"""The widget's value when the other widgets are the user's own."""


def preset_input(part: str) -> io.Input:
    """The widget of a node that takes a preset's ``part``, "invert" or "optimize"."""
    fitting = [name for name, preset in PRESETS.items() if getattr(preset, part)]
    texts = " ".join(f"{name}: {PRESETS[name].text}" for name in fitting)
    widget = io.Combo.Input(
        "preset",
        options=[CUSTOM, *fitting],
        default=CUSTOM,
        optional=True,
        tooltip=f"Named settings; choosing one sets the widgets of this node and of the DMAP nodes it is linked to. "
        f"custom: the widgets as they are. {texts}",
    )
    widget.extra_dict = {"dmap_presets": {name: dict(getattr(PRESETS[name], part)) for name in fitting}}
    return widget


def with_preset(name: str, part: str, **widgets: Any) -> dict[str, Any]:
    """The widgets' values, replaced by those that the preset names.

    Raises:
        ValueError: for an unknown preset.
    """
    if name == CUSTOM:
        return widgets
    if name not in PRESETS:
        raise ValueError(f"preset: got {name!r}, choose one of {', '.join([CUSTOM, *PRESETS])}")
    return {**widgets, **getattr(PRESETS[name], part)}
