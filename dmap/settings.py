"""All settings of a restoration: the one place of their defaults, ranges and words.

The nodes' widgets, the command's options and the tables of the documentation are made from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .errors import UserError, no_choice, number_between
from .image.detail import AUTO as AUTO_DETAIL
from .image.detail import DETAILS
from .image.finish import COLOURS
from .image.layout import MIN_TILE
from .method.fidelity import FIDELITIES
from .method.gradients import AUTO as AUTO_GRADIENT
from .method.gradients import GRADIENTS
from .method.rules import RULES
from .method.solvers import SOLVERS

Value = str | int | float

STAGES = ("clean", "invert", "ascend", "finish")
"""Where settings act: DMAP Clean Photo, DMAP Invert, DMAP Optimize and DMAP Decode, or the functions of
``dmap.restoration``."""


@dataclass(frozen=True)
class Setting:
    """What is to be known of a setting besides its default.

    Attributes:
        stage: one of ``STAGES``.
        text: what it does, in a sentence or two, for people who restore photographs.
        low, high: the range, both ends included; None for names.
        step: by which a widget changes it.
        choices: the names that can be chosen; empty for numbers.
        unit: of a number; empty for factors, shares and counts.
        widget: the node's name for it, where that differs.
        between_steps: whether values between the widget's steps are welcome.
        advanced: whether most people can leave it alone.
        in_presets: whether presets name it.
    """

    stage: str
    text: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    widget: str = ""
    between_steps: bool = False
    advanced: bool = False
    in_presets: bool = True


def _setting(default: Any, stage: str, text: str, **facts: Any) -> Any:
    return field(default=default, metadata={"setting": Setting(stage, text, **facts)})


@dataclass(frozen=True)
class Settings:
    """How a photograph is restored; ``describe`` tells of each setting what it does and its range.

    Raises:
        UserError: for a value out of range, with the setting's name.
    """

    # Before everything
    clean: str = _setting(
        "on",
        "clean",
        "Take away the noise and the blocks of JPEG that are found in the pixels, so that the ascent begins without "
        "them and is not held to them. A photograph without either stays as it is.",
        choices=("on", "off"),
        in_presets=False,
    )
    # Inversion
    solver: str = _setting(
        "residual_ddim",
        "invert",
        "residual_ddim: one network call a step, exact, the fast choice. edict: the paper's "
        "coupled pair, two calls a step, needs 20 to 50 steps.",
        choices=tuple(SOLVERS),
        advanced=True,
    )
    steps: int = _setting(
        2,
        "invert",
        "Steps between the photograph and the noise: 1 to 4 at a low strength, 10 over the full path. The paper "
        "takes 50.",
        low=1,
        high=200,
        step=1,
    )
    strength: float = _setting(
        0.2,
        "invert",
        "How far into the noise to go, 0 to 1. A low value stays close to the photograph; 0.2 to 0.5 are good first "
        "values, 1 is the full path.",
        low=0.01,
        high=1.0,
        step=0.01,
    )
    max_error: float = _setting(
        0.05,
        "invert",
        "Stop with an error if the round trip (inverting, then sampling) changes the latent by more than this "
        "fraction of its root mean square.",
        low=0.0,
        high=10.0,
        step=0.001,
        between_steps=True,
        advanced=True,
    )
    tile: int = _setting(
        0,
        "invert",
        "Side of the tiles in which the networks see a large photograph: 512 for SD 1.x and the shipped models, 1024 "
        "for SDXL; 0: they see it whole.",
        low=0,
        high=4096,
        step=64,
        unit="px",
        advanced=True,
        in_presets=False,
    )
    overlap: int = _setting(
        0,
        "invert",
        "Overlap of neighbouring tiles, at most half a tile; 0 takes an eighth of a tile.",
        low=0,
        high=2048,
        step=16,
        unit="px",
        advanced=True,
        in_presets=False,
    )
    # Ascent
    iterations: int = _setting(
        10, "ascend", "How many times to improve the picture; 10 to 30 are usual.", low=1, high=1000, step=1
    )
    prior_weight: float = _setting(
        1.0,
        "ascend",
        "Weight of the quality score (0 to 100, higher is better). Raise it for a stronger change.",
        low=0.0,
        high=1000.0,
        step=0.05,
        advanced=True,
    )
    fidelity: str = _setting(
        "nlpd_colour",
        "ascend",
        "How to measure the distance to the photograph. nlpd: perceptual (the paper's); nlpd_colour: the same with "
        "colour and brightness held; mse, l1: pixel by pixel; ssim, ms_ssim: structure (ms_ssim needs more than 160 "
        "px).",
        choices=tuple(FIDELITIES),
        advanced=True,
    )
    fidelity_weight: float = _setting(
        240.0,
        "ascend",
        "How firmly to hold on to the photograph: 80 allows a strong change, 240 a careful one, 400 a gentle one.",
        low=0.0,
        high=100000.0,
        step=0.5,
    )
    scale: str = _setting(
        "common",
        "ascend",
        "The scale of fidelity_weight. common: 240 is careful for every prior, whatever the length of its gradients; "
        "absolute: the plain factor of the objective, as in workflows from before version 0.2.",
        choices=("common", "absolute"),
        advanced=True,
        in_presets=False,
    )
    rule: str = _setting(
        "adam",
        "ascend",
        "How to choose each step. adam: the fast choice. momentum: the authors' clipped rule; use step_size 2 with it.",
        choices=tuple(RULES),
        advanced=True,
    )
    step_size: float = _setting(
        0.06,
        "ascend",
        "How far to move in each iteration; with adam in standard deviations of the latent, 0.01 to 0.1.",
        low=0.0001,
        high=100.0,
        step=0.005,
        between_steps=True,
        advanced=True,
    )
    target_score: float = _setting(
        90.0,
        "ascend",
        "Stop as soon as the quality score (0 to 100) reaches this; above 100 never stops early.",
        low=0.0,
        high=200.0,
        step=1.0,
        advanced=True,
    )
    shift: int = _setting(
        8,
        "ascend",
        "The quality model sees a crop smaller by this many pixels, moved at random in each iteration: "
        "it keeps false textures out. 0 turns it off.",
        low=0,
        high=64,
        step=1,
        unit="px",
        advanced=True,
    )
    seed: int = _setting(
        0,
        "ascend",
        "Fixes the random shifts: the same seed gives the same image. With shift 0 it changes nothing.",
        low=0,
        high=0xFFFFFFFFFFFFFFFF,
        step=1,
        advanced=True,
        in_presets=False,
    )
    feather: int = _setting(
        8,
        "ascend",
        "Width in pixels over which the change fades in at the mask's edge, on its inner side.",
        low=0,
        high=256,
        step=1,
        unit="px",
        advanced=True,
        in_presets=False,
    )
    gradient: str = _setting(
        AUTO_GRADIENT,
        "ascend",
        "How the gradient passes through the network. Cost of an iteration in its forward passes, for N "
        "solver steps (twice that with edict): auto 3N to 4N, exact, as memory allows; checkpoint 4N, exact, "
        "least memory; keep 3N, exact, most memory; sparse 2N to 2.5N, cosine to exact above 0.99 at the "
        "default settings; short_chain 2.5N to 3N, above 0.97, but not with edict beyond 4 steps.",
        choices=(AUTO_GRADIENT, *GRADIENTS),
        advanced=True,
    )
    detail: str = _setting(
        AUTO_DETAIL,
        "ascend",
        "How much to keep of what the VAE loses: 1 begins at the photograph itself, 0 at what the VAE gives back, "
        "without fine detail and noise. auto estimates for each image how much of it is detail and not noise: all "
        "where there are neither noise nor blocks, else at most 0.75, and down to 0.25 with JPEG blocks.",
        choices=DETAILS,
        advanced=True,
    )
    # Finish
    change: float = _setting(
        1.0,
        "finish",
        "How much of the change to show: 0 shows the start of the ascent, 1 its end.",
        low=0.0,
        high=1.0,
        step=0.01,
        widget="strength",
        in_presets=False,
    )
    colour: str = _setting(
        "low_pass",
        "finish",
        "Give the result the photograph's colours and brightness over large areas. low_pass: a Gaussian of "
        "12 px; wavelet: structures of more than 32 px; off: as it comes. A path that does not know its photograph "
        "stays as it comes.",
        choices=COLOURS,
        in_presets=False,
    )
    added_detail: float = _setting(
        0.0,
        "finish",
        "How much of what the VAE lost to add back, beyond what DMAP Optimize kept: fine detail, but noise as well. "
        "With strength 0 and detail 1 the result is the photograph itself.",
        low=0.0,
        high=1.0,
        step=0.05,
        widget="detail",
        in_presets=False,
    )

    def __post_init__(self) -> None:
        for name, about in describe().items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), about))
        if self.tile and self.tile < MIN_TILE:
            raise UserError(f"tile: got {self.tile}, it must be at least {MIN_TILE} px; 512 is a good first value")

    def of(self, stage: str) -> dict[str, Value]:
        """The values of one stage by the settings' names."""
        return {name: getattr(self, name) for name, about in describe().items() if about.stage == stage}


def describe() -> dict[str, Setting]:
    """What is to be known of each setting, by name, in the order in which people meet them."""
    return {one.name: one.metadata["setting"] for one in fields(Settings)}


def default(name: str) -> Value:
    """The default of a setting."""
    value: Value = getattr(Settings, name)
    return value


def _checked(name: str, value: Any, about: Setting) -> Value:
    """A value of the default's type within the setting's range."""
    if about.choices:
        if not isinstance(value, str) or value not in about.choices:
            raise no_choice(name, value, about.choices)
        return str(value)
    assert about.low is not None
    assert about.high is not None
    remedy, whole = f"{default(name)} is the default", isinstance(default(name), int)
    unit = f" {about.unit}" if about.unit else ""
    return number_between(name, value, about.low, about.high, remedy, whole=whole, unit=unit)


@dataclass(frozen=True)
class Preset:
    """Settings that go together, and what they are for in a sentence."""

    text: str
    settings: Settings

    def values(self, stage: str) -> dict[str, Value]:
        """What the preset says of a stage; empty for a stage that presets leave alone."""
        facts = describe()
        return {name: value for name, value in self.settings.of(stage).items() if facts[name].in_presets}


PRESETS: Mapping[str, Preset] = {
    "default": Preset("The nodes' own defaults: a careful change that suits most photographs.", Settings()),
    "gentle photo": Preset(
        "Barely visible: for a photograph that is good already.", Settings(fidelity_weight=400.0, step_size=0.04)
    ),
    "strong": Preset(
        "A strong change, for visible blur; look at faces and text afterwards.",
        Settings(strength=0.3, iterations=20, fidelity_weight=80.0, target_score=95.0),
    ),
    "old photograph": Preset(
        "Grain, softness and faded contrast of a scan; mask scratches at DMAP Encode Photo.",
        Settings(strength=0.3, iterations=20, fidelity_weight=140.0),
    ),
    "JPEG rescue": Preset(
        "Blocks and ringing of strong compression; with DMAP Degradation: JPEG if its quality is known.",
        Settings(iterations=15, fidelity_weight=160.0, target_score=95.0),
    ),
    "after another restorer": Preset(
        "A light finish of what another restorer or upscaler made.",
        Settings(strength=0.1, fidelity_weight=320.0, step_size=0.04),
    ),
    # arXiv:2403.06406 with the authors' released settings; "strength" 1 is their full path.
    "paper": Preset(
        "The paper's configuration: EDICT over the full path, 400 network passes an iteration. Slow.",
        Settings(
            solver="edict",
            steps=50,
            strength=1.0,
            iterations=50,
            fidelity="nlpd",
            fidelity_weight=20.0,
            rule="momentum",
            step_size=2.0,
            shift=0,
            gradient="checkpoint",
            detail="0",
            clean="off",
        ),
    ),
}
"""A new preset is one entry here."""


def preset(name: str) -> Settings:
    """The settings of a preset.

    Raises:
        UserError: for an unknown name.
    """
    if name not in PRESETS:
        raise no_choice("preset", name, PRESETS)
    return PRESETS[name].settings
