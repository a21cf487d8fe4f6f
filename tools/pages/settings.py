"""Write docs/settings.md, the reference of all settings, from dmap/settings.py: ``python -m tools.pages.settings``."""

from __future__ import annotations

from pathlib import Path

from dmap.settings import PRESETS, STAGES, Setting, default, describe

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "settings.md"
TITLES = {
    "clean": "Before everything: DMAP Clean Photo (no widget: leave the node out for off)",
    "invert": "Inversion: DMAP Invert",
    "ascend": "Ascent: DMAP Optimize",
    "finish": "Finish: DMAP Decode",
}
HEAD = """# Settings

Written by `python -m tools.pages.settings` from `dmap/settings.py`; do not edit it.

The same names, ranges and defaults hold for `dmap.Settings(...)`, for the options of `python -m dmap restore`
(`--fidelity-weight`) and for the nodes' widgets. A widget with another name is named in brackets. In a
graph tiles come by the node DMAP Tiles. Newer hosts fold away what is *advanced*.
"""


def values(about: Setting) -> str:
    """What may be given, in words."""
    if about.choices:
        return ", ".join(f"`{name}`" for name in about.choices)
    unit = f" {about.unit}" if about.unit else ""
    high = about.high if isinstance(about.high, int) else f"{about.high:g}"
    return f"{about.low:g} to {high}{unit}"


def text() -> str:
    """The page."""
    parts = [HEAD]
    for stage in STAGES:
        rows = [f"## {TITLES[stage]}\n", "| setting | default | values | what it does |", "|---|---|---|---|"]
        for name, about in describe().items():
            if about.stage == stage:
                widget = f" (`{about.widget}`)" if about.widget else ""
                widget += " *advanced*" if about.advanced else ""
                rows.append(f"| `{name}`{widget} | {default(name)} | {values(about)} | {about.text} |")
        parts.append("\n".join(rows) + "\n")
    rows = [
        "## Presets\n",
        "What a preset does not name keeps its default.\n",
        "| preset | for | settings |",
        "|---|---|---|",
    ]
    for name, preset in PRESETS.items():
        changed = {key: x for stage in STAGES for key, x in preset.settings.of(stage).items() if x != default(key)}
        said = ", ".join(f"{key} {value}" for key, value in changed.items()) or "the defaults"
        rows.append(f"| {name} | {preset.text} | {said} |")
    return "\n".join([*parts, "\n".join(rows)]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
