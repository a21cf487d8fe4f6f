"""2026: the host's interrupt is a BaseException, which ``except Exception`` lets through."""

from __future__ import annotations

import comfy.model_management


class Interrupt(BaseException):
    """What the host raises where the user asked to stop."""


def install() -> None:
    if issubclass(comfy.model_management.InterruptProcessingException, Exception):
        comfy.model_management.InterruptProcessingException = Interrupt
