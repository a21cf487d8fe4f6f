"""Errors that the user can mend."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

SHOWN = 60
"""Letters of a value that an error repeats."""


class UserError(ValueError):
    """A value, a file or a combination of them that cannot be worked with.

    Its text names the setting, socket, option or file, says what was found and what is wanted, and what to do. The
    command prints it and the nodes show it as it is; every other exception is a fault of this program and keeps its
    traceback.

    Attributes:
        place: the setting, socket, option or file. Like the others it is "" where only the text says so; it is there
            for values that were checked against a type, a range or choices, and for files.
        found: what was given there.
        wanted: what may be given.
        remedy: what to do.
    """

    def __init__(self, text: str, *, place: str = "", found: str = "", wanted: str = "", remedy: str = "") -> None:
        super().__init__(text)
        self.place, self.found, self.wanted, self.remedy = place, found, wanted, remedy

    @classmethod
    def of(cls, place: str, found: str, wanted: str = "", remedy: str = "") -> UserError:
        """An error whose text is made of its parts."""
        text = f"{place}: got {found}{f', it must be {wanted}' if wanted else ''}{f'; {remedy}' if remedy else ''}"
        return cls(text, place=place, found=found, wanted=wanted, remedy=remedy)

    def within(self, place: str) -> UserError:
        """The same error, with a place that the text begins with, such as "DMAP Optimize, " or "photo.png: "."""
        whole = f"{place}{self.place}" if self.place else place.rstrip(" ,:")
        return type(self)(f"{place}{self}", place=whole, found=self.found, wanted=self.wanted, remedy=self.remedy)


def repeated(value: Any) -> str:
    """A value as an error repeats it: short, and only the kind of what is no number or text."""
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def no_choice(name: str, value: Any, choices: Iterable[str]) -> UserError:
    """The error about a value of a setting that is none of its choices."""
    found, known = repeated(value), ", ".join(choices)
    text = f"{name}: got {found}, choose one of {known}"
    return UserError(text, place=name, found=found, wanted=known, remedy="choose one of them")


def number_between(
    name: str,
    value: Any,
    low: float,
    high: float,
    remedy: str,
    whole: bool = False,
    above: bool = False,
    unit: str = "",
) -> int | float:
    """A finite number of a range.

    Args:
        name: of the setting.
        value: whatever was given.
        low, high: both ends of the range are in it.
        remedy: a good value, in words.
        whole: whether fractions are refused.
        above: whether ``low`` itself is refused.
        unit: after the range, such as " px".

    Raises:
        UserError: names the setting, what was given, and the range.
    """
    number: int | float = 0
    try:
        number = int(value) if whole else float(value)
        fits = not isinstance(value, bool | str) and math.isfinite(number) and number == value and low <= number <= high
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits or (above and number == low):
        what, least = "a whole number" if whole else "a number", f"above {low:g}" if above else f"from {low:g}"
        raise UserError.of(name, repeated(value), f"{what} {least} to {high:g}{unit}", remedy)
    return number
