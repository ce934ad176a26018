"""Parameters that no index from scratch can work with are refused in one line."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from harness.core.errors import ParameterError
from harness.data.metric import Metric
from harness.engines.registry import load_registry

# Hashes wrap around, which only the interpreter remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

REGISTRY = load_registry()
OURS = {
    name: entry.load()
    for name, entry in REGISTRY.items()
    if entry.config.origin == "from-scratch" and entry.config.purpose == "index" and name != "pq-codes"
}
ODD = [True, 2.5, "8", "", [], float("nan"), float("-inf"), -1, 0]
"""Values that some parameter may take, and most can't."""
# What is fine for a parameter although it is fine for hardly another one.
FINE = {
    "seed": (0,),
    "n_rerank": (0,),
    "n_reorder": (0,),
    "reach": (0, 2.5),
    "bucket_width": (2.5,),
    "soar_lambda": (0, 2.5),
    **dict.fromkeys(("rerank", "opq", "spill", "spherical", "symmetric", "upper_layers"), (True,)),
}
N, DIM = 60, 8


def rows(n=N, dim=DIM, seed=0):
    """Draw rows (n, dim)."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def parameters(function, *, apart):
    """Return the names of a function's parameters that an index takes, and what each is unless it is given."""
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found if p.kind is p.KEYWORD_ONLY and p.name not in apart]


def odd_values(name):
    """Return the values that a parameter should refuse."""
    fine = FINE.get(name, ())
    return [value for value in ODD if not any(type(value) is type(one) and value == one for one in fine)]


def built(name, metric=Metric.EUCLIDEAN, data=None):
    """Return an index over some rows."""
    index = OURS[name](metric)
    index.fit(rows() if data is None else data)
    return index


@pytest.mark.parametrize("name", OURS)
def test_a_constructor_refuses_what_it_cannot_use(name):
    """Each parameter refuses values of other types and beyond its range, by name; NumPy's integers are fine."""
    for parameter in parameters(OURS[name].__init__, apart=()):
        for value in odd_values(parameter):
            with pytest.raises(ParameterError, match=parameter):
                OURS[name](Metric.EUCLIDEAN, **{parameter: value})
    for parameter, value in (("M", 8), ("n_lists", 4), ("n_leaves", 4), ("n_tables", 2), ("leaf_size", 32)):
        if parameter in parameters(OURS[name].__init__, apart=()):
            OURS[name](Metric.EUCLIDEAN, **{parameter: np.int8(value)})


@pytest.mark.parametrize("name", OURS)
def test_a_searcher_refuses_what_it_cannot_use(name):
    """So does each search parameter; what was bound before stays."""
    index = built(name)
    for parameter in parameters(index.searcher, apart=("threads",)):
        for value in odd_values(parameter):
            with pytest.raises(ParameterError, match=parameter):
                index.searcher(**{parameter: value})
