"""Errors that the user can mend."""

from __future__ import annotations


class UserError(ValueError):
    """A value, a file or a combination of them that cannot be worked with.

    Its text names the setting, socket, option or file, says what was found and what is wanted, and what to do. The
    command prints it and the nodes show it as it is; every other exception is a fault of this program and keeps its
    traceback.
    """
