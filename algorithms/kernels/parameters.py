"""What parameters may be, and the errors that say so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from harness.core.errors import ParameterError


def check_whole(owner: str, name: str, value: object, least: int, hint: str, most: int | None = None) -> None:
    """Check that a parameter of `owner` is a whole number from `least` to `most`; `hint` says what is usual.

    Raises ParameterError, also for a float such as 2.0 and for a bool.
    """
    span = f"at least {least}" if most is None else f"{least} to {most}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ParameterError(f"{owner}: {name} = {value!r} is not a whole number; use {span}, {hint}")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise ParameterError(f"{owner}: {name} = {value}; use {span}, {hint}")


def check_number(
    owner: str, name: str, value: object, least: float, hint: str, *, above: bool = False, below: float = math.inf
) -> None:
    """Check that a parameter of `owner` is a number from `least` on, or `above` it, and less than `below`.

    Raises ParameterError, also for a bool and for what is no number or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ParameterError(f"{owner}: {name} = {value!r} is not a number; use {hint}")
    number = float(value)
    if not (number > least if above else number >= least) or not number < below:
        raise ParameterError(f"{owner}: {name} = {value}; use {hint}")


def check_flag(owner: str, name: str, value: object) -> None:
    """Check that a parameter of `owner` is true or false; raises ParameterError."""
    if not isinstance(value, bool):
        raise ParameterError(f"{owner}: {name} = {value!r}; use true or false")


def check_choice(owner: str, name: str, value: object, choices: Sequence[object]) -> None:
    """Check that a parameter of `owner` is one of `choices`, of the same type; raises ParameterError."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        shown = ", ".join("null" if choice is None else str(choice) for choice in choices)
        raise ParameterError(f"{owner}: {name} = {value!r} is not known; use one of {shown}")


def is_auto(value: object) -> bool:
    """Say whether a parameter is left to the index."""
    return isinstance(value, str) and value == "auto"


def whole(value: Any) -> Any:
    """Return a whole number as Python's own, which has no largest; anything else as it is."""
    return int(value) if isinstance(value, Integral) else value


def check_seed(owner: str, seed: object) -> None:
    """Check that a seed is a whole number from 0 on; raises ParameterError."""
    check_whole(owner, "seed", seed, 0, "such as 0")


def check_components(owner: str, value: object) -> None:
    """Check a number of principal components, "auto" or None; raises ParameterError."""
    if value is not None and not is_auto(value):
        check_whole(owner, "n_components", value, 1, "auto, or null for no rotation")
