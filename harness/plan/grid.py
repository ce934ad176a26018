"""Grids of parameters: a product of lists, or a list of such products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from harness.plan.expression import resolve
from harness.store.spec import Params, freeze

Grid = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def expand(grid: Grid, variables: Mapping[str, int]) -> list[Params]:
    """Expand a grid to its settings, in order and without repeats.

    `{M: [8, 16], ef: 40}` gives two settings; a list of grids gives those of each. Expressions are computed from
    `variables` (n, dim, k). Values may be scalars or None; a list is always a choice.
    """
    grids = [grid] if isinstance(grid, Mapping) else grid
    return list(dict.fromkeys(setting for one in grids for setting in _product(one, variables)))


def _product(grid: Mapping[str, Any], variables: Mapping[str, int]) -> Iterator[Params]:
    choices = [values if isinstance(values, list) else [values] for values in grid.values()]
    for values in product(*choices):
        yield freeze({key: resolve(value, variables) for key, value in zip(grid, values, strict=True)})
