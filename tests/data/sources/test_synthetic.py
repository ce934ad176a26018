"""Synthetic data: the same name gives the same vectors, and a malformed name shows the pattern."""

from __future__ import annotations

import re

import numpy as np
import pytest

from harness.core.errors import ConfigError, DatasetError
from harness.data.metric import Metric
from harness.data.sources.synthetic import generate, parse
from harness.engines.contract import Sets

NAMES = [
    "synthetic-clusters-500-7-euclidean",
    "synthetic-clusters-500-8-angular",
    "synthetic-clusters-500-8-ip",
    "synthetic-uniform-500-3-angular",
    "synthetic-lowdim-500-20-3-euclidean",
    "synthetic-bits-500-13-hamming",
    "synthetic-sets-500-10-jaccard",
    "synthetic-sets-500-1000-jaccard",
]


def same(a, b):
    if isinstance(a, Sets):
        return np.array_equal(a.indptr, b.indptr) and np.array_equal(a.indices, b.indices)
    return np.array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_determinism(name):
    """A name states the shape, and gives the same vectors each time, others with another seed."""
    recipe = parse(name)
    content, again, other = generate(recipe), generate(parse(name)), generate(parse(f"{name}-seed1"))
    assert (len(content.train), len(content.test)) == (500, 100)
    assert content.metric is recipe.metric
    assert same(content.train, again.train)
    assert same(content.test, again.test)
    assert not same(content.train, other.train)
    if content.metric.is_dense:
        assert content.train.shape[1] == content.dimension == recipe.dimension
        assert content.train.dtype == np.float32
        assert content.train.flags.c_contiguous
        assert np.isfinite(content.train).all()


@pytest.mark.parametrize("n", [1, 2, 9, 1001])
def test_any_size(n):
    """Small and odd sizes work."""
    for kind, rest in (("clusters", "3-ip"), ("lowdim", "3-3-ip"), ("uniform", "1-ip"), ("bits", "1-hamming")):
        assert len(generate(parse(f"synthetic-{kind}-{n}-{rest}")).train) == n
    assert len(generate(parse(f"synthetic-sets-{n}-12-jaccard")).train) == n


def test_lowdim_is_low_dimensional():
    """Neighbourhoods of the curved surface have the intrinsic dimension, not the ambient one."""
    train = generate(parse("synthetic-lowdim-20000-64-2-euclidean")).train
    away = np.linalg.norm(train - train[0], axis=1)
    near = train[np.argsort(away)[:30]]
    spectrum = np.linalg.svd(near - near.mean(axis=0), compute_uv=False) ** 2
    assert spectrum[:2].sum() > 0.9 * spectrum.sum()


def test_bits_are_clustered():
    """A query's nearest bits are far nearer than the average."""
    content = generate(parse("synthetic-bits-2000-64-hamming"))
    away = np.bitwise_count(content.train ^ content.test[0]).sum(axis=1)
    assert away.min() < 0.6 * away.mean()


def test_sets_are_sets():
    """Members ascend, lie in the universe, and no set is empty."""
    train = generate(parse("synthetic-sets-300-40-jaccard")).train
    for i in range(len(train)):
        row = train.row(i)
        assert len(row) > 0
        assert (np.diff(row) > 0).all()
        assert row.min() >= 0
        assert row.max() < 40


@pytest.mark.parametrize(
    "name",
    [
        "synthetic-",
        "synthetic-blobs-10-10-euclidean",
        "synthetic-clusters",
        "synthetic-clusters-10-euclidean",
        "synthetic-clusters-0-10-euclidean",
        "synthetic-clusters-10-10-10-euclidean",
        "synthetic-clusters-10-10-hamming",
        "synthetic-clusters-10-10-l2",
        "synthetic-clusters-10-10-euclidean-seed",
        "synthetic-lowdim-10-10-euclidean",
        "synthetic-lowdim-10-10-11-euclidean",
        "synthetic-bits-10-10-euclidean",
        "synthetic-sets-10-5-jaccard",
    ],
)
def test_malformed_names(name):
    """A malformed name is one line that names it, and shows the pattern or the limit."""
    with pytest.raises(ConfigError, match=re.escape(repr(name))) as caught:
        parse(name)
    assert "\n" not in str(caught.value)
    assert re.search(r"N-DIM|N-UNIVERSE|more than|too small", str(caught.value))


def test_seed_is_part_of_the_recipe():
    """A seed at the end of the name is read."""
    assert parse("synthetic-uniform-10-2-ip-seed42").seed == 42
    assert parse("synthetic-uniform-10-2-ip").metric is Metric.IP


def test_too_large_for_memory():
    """A size beyond all memory is an error in one line."""
    with pytest.raises(DatasetError, match="memory"):
        generate(parse("synthetic-uniform-9999999999999-9999-euclidean"))
