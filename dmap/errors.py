"""Errors that the user can mend."""

from __future__ import annotations

import math
from typing import Any

SHOWN = 60
"""Letters of a value that an error repeats."""


class UserError(ValueError):
    """A value, a file or a combination of them that cannot be worked with.

    Its text names the setting, socket, option or file, says what was found and what is wanted, and what to do. The
    command prints it and the nodes show it as it is; every other exception is a fault of this program and keeps its
    traceback.
    """


def repeated(value: Any) -> str:
    """A value as an error repeats it: short, and only the kind of what is no number or text."""
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


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
        raise UserError(f"{name}: got {repeated(value)}, it must be {what} {least} to {high:g}{unit}; {remedy}")
    return number
