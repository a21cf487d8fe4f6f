"""The preset widget: in the browser web/presets.js sets the other widgets by it, without one the node does.

A value that is sent wins over the preset, whoever sent it: the browser's widget, a link, a widget of a subgraph around
it, or a program. What is left out is the preset's; that is why these widgets are optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..dmap.errors import no_choice
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


def with_preset(name: str, stage: str, **widgets: Any) -> tuple[Settings, list[str]]:
    """The widgets' values, and for those that are None the preset's, or the defaults.

    Returns:
        The settings, and what is to be said of a preset of which some values do not count.

    Raises:
        UserError: for an unknown preset, or a value out of range.
    """
    if name != CUSTOM and name not in PRESETS:
        raise no_choice("preset", name, [CUSTOM, *PRESETS])
    sent = {key: value for key, value in widgets.items() if value is not None}
    preset = {} if name == CUSTOM else PRESETS[name].values(stage)
    settings = Settings(**{**preset, **sent})
    return settings, _said(name, preset, vars(settings), "are set otherwise here, and that counts")


def _said(name: str, preset: Mapping[str, Any], used: Mapping[str, Any], words: str) -> list[str]:
    others = [f"{key} {used[key]}" for key, value in preset.items() if used[key] != value]
    return [f"preset {name!r}: {', '.join(others)} {words}"] if others else []


def partner(name: str, settings: Settings, upstream: str, inverted: Settings | None) -> list[str]:
    """What DMAP Optimize has to say if a preset has not reached both nodes, as from inside of a subgraph.

    Args:
        name, settings: of DMAP Optimize.
        upstream: the preset of the DMAP Invert that made its path.
        inverted: that node's settings; None if they are not known.
    """
    if name != CUSTOM and inverted is not None:
        words = "at DMAP Invert; choose the preset there as well"
        return _said(name, PRESETS[name].values("invert"), vars(inverted), words)
    unchosen = {name: getattr(settings, name) for name in ("seed", "feather", "scale")}  # no preset sets these
    untouched = settings.of("ascend") == Settings(**unchosen).of("ascend")
    if upstream in PRESETS and name == CUSTOM and untouched:
        words = "at this node, its defaults; choose the preset of DMAP Invert here as well"
        return _said(upstream, PRESETS[upstream].values("ascend"), vars(settings), words)
    return []
