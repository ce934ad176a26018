"""What parameters may be, and the errors that say so."""

from __future__ import annotations

from numbers import Integral

from harness.errors import ParameterError


def check_whole(owner: str, name: str, value: object, least: int, hint: str) -> None:
    """Check that a parameter of `owner` is a whole number from `least` on; `hint` says what is usual.

    Raises ParameterError, also for a float such as 2.0 and for a bool.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ParameterError(f"{owner}: {name} = {value!r} is not a whole number; use at least {least}, {hint}")
    if value < least:
        raise ParameterError(f"{owner}: {name} = {value}; use at least {least}, {hint}")
