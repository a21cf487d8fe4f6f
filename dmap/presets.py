"""Named settings: preset -> the widgets' values of DMAP Invert and DMAP Optimize, by the widgets' names.

``python -m dmap`` and the nodes read the same table. A new preset is one entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | int | float


@dataclass(frozen=True)
class Preset:
    """Settings that go together.

    Attributes:
        text: what they are for, in a sentence.
        invert: values of DMAP Invert's widgets.
        optimize: values of DMAP Optimize's widgets; what is not named keeps the default.
    """

    text: str
    invert: Mapping[str, Value] = field(default_factory=dict)
    optimize: Mapping[str, Value] = field(default_factory=dict)


DEFAULT = Preset(
    "The nodes' own defaults: a careful change that suits most photographs.",
    invert={"solver": "residual_ddim", "steps": 4, "strength": 0.2, "max_error": 0.05},
    optimize={
        "iterations": 20,
        "prior_weight": 1.0,
        "fidelity": "nlpd_colour",
        "fidelity_weight": 240.0,
        "rule": "adam",
        "step_size": 0.04,
        "target_score": 90.0,
        "shift": 8,
        "gradient": "auto",
        "detail": "auto",
    },
)

# arXiv:2403.06406 with the authors' released settings; "strength" 1 is their full path.
PAPER = Preset(
    "The paper's configuration: EDICT over the full path, 400 network passes an iteration. Slow.",
    invert={**DEFAULT.invert, "solver": "edict", "steps": 50, "strength": 1.0},
    optimize={
        "iterations": 50,
        "prior_weight": 1.0,
        "fidelity": "nlpd",
        "fidelity_weight": 20.0,
        "rule": "momentum",
        "step_size": 2.0,
        "target_score": 90.0,
        "shift": 0,
        "gradient": "checkpoint",
        "detail": "0",
    },
)

# Where the default is named only in part, an earlier preset would leave its own values standing in the browser: every
# preset names all that any of them names.
GENTLE = Preset(
    "Barely visible: for a photograph that is good already.",
    invert=DEFAULT.invert,
    optimize={**DEFAULT.optimize, "fidelity_weight": 400.0, "step_size": 0.02},
)
STRONG = Preset(
    "A strong change, for visible noise and blur; look at faces and text afterwards.",
    invert={**DEFAULT.invert, "steps": 6, "strength": 0.3},
    optimize={**DEFAULT.optimize, "iterations": 30, "fidelity_weight": 80.0, "target_score": 95.0},
)
OLD_PHOTOGRAPH = Preset(
    "Grain, softness and faded contrast of a scan; mask scratches at DMAP Encode Photo.",
    invert={**DEFAULT.invert, "steps": 6, "strength": 0.3},
    optimize={**DEFAULT.optimize, "iterations": 40, "fidelity_weight": 140.0},
)
JPEG_RESCUE = Preset(
    "Blocks and ringing of strong compression; with DMAP Degradation: JPEG if its quality is known.",
    invert=DEFAULT.invert,
    optimize={**DEFAULT.optimize, "iterations": 30, "fidelity_weight": 160.0, "step_size": 0.03},
)
AFTER_RESTORER = Preset(
    "A light finish of what another restorer or upscaler made.",
    invert={**DEFAULT.invert, "strength": 0.1},
    optimize={**DEFAULT.optimize, "iterations": 15, "fidelity_weight": 320.0, "step_size": 0.02},
)

PRESETS: dict[str, Preset] = {
    "default": DEFAULT,
    "gentle photo": GENTLE,
    "strong": STRONG,
    "old photograph": OLD_PHOTOGRAPH,
    "JPEG rescue": JPEG_RESCUE,
    "after another restorer": AFTER_RESTORER,
    "paper": PAPER,
}


def values(name: str) -> dict[str, Value]:
    """All settings of a preset by widget name, the defaults for those that it leaves open.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset: got {name!r}, choose one of {', '.join(PRESETS)}")
    preset = PRESETS[name]
    return {**DEFAULT.invert, **DEFAULT.optimize, **preset.invert, **preset.optimize}
