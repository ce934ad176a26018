"""Smaller forms of embeddings: how they are written, what they cost, and how far they are from the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch")

from harness.core.errors import ConfigError
from harness.embedding.variants import Variant, principal_components, signs

FULL = 24


def units(rows: int, dim: int = FULL, seed: int = 0) -> NDArray[np.float32]:
    """Return random vectors of length 1, whose dimensions differ in size."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)) * np.geomspace(1, 0.1, dim)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "label", "dimension", "size"),
    [
        ("full", "full", 24, 96),
        ("float32", "full", 24, 96),
        ("prefix-5", "prefix-5", 5, 20),
        ("pca-24", "pca-24", 24, 96),
        ("float16", "float16", 24, 48),
        ("int8", "int8", 24, 24),
        ("binary", "binary", 24, 3),
        ("prefix-9/binary+rescore", "prefix-9/binary+rescore", 9, 2),
        ("int8/pca-7", "pca-7/int8", 7, 7),
    ],
)
def test_variants_are_written_and_cost(text: str, label: str, dimension: int, size: int) -> None:
    """A variant has one way in which it is written, which reads as itself, and costs whole bytes."""
    variant = Variant.parse(text)
    assert variant.label == label
    assert Variant.parse(label) == variant
    assert variant.dimension(FULL) == dimension
    assert variant.bytes_a_vector(FULL) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "half",
        "pca",
        "pca-",
        "pca-0",
        "pca--3",
        "pca-2/prefix-2",
        "int8/binary",
        "int8+rescore",
        "full/int8",
        "int8/",
    ],
)
def test_what_is_no_variant_is_refused(text: str) -> None:
    """The line names what was written, and what may be."""
    with pytest.raises(ConfigError, match=f"variant '{text.replace('+', '.')}'"):
        Variant.parse(text)


def test_more_dimensions_than_there_are_are_refused() -> None:
    """A model of fewer dimensions can't be cut to more."""
    with pytest.raises(ConfigError, match="variant pca-25: the model has only 24 dimensions"):
        Variant.parse("pca-25").fit(units(3))


@pytest.mark.parametrize("text", ["full", "prefix-5", "pca-24", "pca-6", "float16", "int8", "binary", "pca-8/int8"])
def test_stored_documents_are_near_to_what_they_were(text: str) -> None:
    """Each precision errs by no more than half of its step; vectors are never changed in place."""
    documents = units(50)
    before = documents.copy()
    variant = Variant.parse(text)
    codec = variant.fit(documents)
    exact, stored = codec.reduce(documents), codec.documents(documents)
    np.testing.assert_array_equal(documents, before)
    assert stored.dtype == np.float32
    assert stored.shape == (50, variant.dimension(FULL))
    np.testing.assert_allclose(np.linalg.norm(exact, axis=1), 1, atol=1e-6)
    error = np.abs(stored - exact)
    if variant.precision == "float32":
        assert not error.any()
    elif variant.precision == "float16":
        assert (error <= np.abs(exact) * 2**-11 + 2**-25).all()
    elif variant.precision == "int8":
        assert (error <= np.ptp(exact, axis=0) / 255 / 2 + 1e-6).all()
        assert all(len(np.unique(column)) <= 256 for column in stored.T)
    else:
        np.testing.assert_array_equal(stored > 0, exact > 0)
        np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-6)


def test_int8_of_what_does_not_vary_and_of_what_was_not_seen() -> None:
    """A constant dimension comes back as it is, and a value beyond the documents' range is cut to it."""
    documents = np.array([[0.6, 0.8, 0.0], [0.6, -0.8, 0.0], [0.6, 0.8, 0.0]], np.float32)
    codec = Variant.parse("int8").fit(documents)
    np.testing.assert_allclose(codec.documents(documents), documents, atol=1e-6)
    with np.errstate(all="raise", under="ignore"):
        other = codec.documents(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]], np.float32))
    np.testing.assert_allclose(other, [[0.6, 0.0, 0.0]] * 2, atol=0.8 / 255 + 1e-6)


def test_all_components_keep_inner_products() -> None:
    """PCA to as many dimensions as there are turns vectors, and turns them alike."""
    documents, queries = units(40), units(7, seed=1)
    codec = Variant.parse(f"pca-{FULL}").fit(documents)
    found = codec.queries(queries) @ codec.documents(documents).T
    np.testing.assert_allclose(found, queries @ documents.T, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 30), dim=st.integers(1, 12), seed=st.integers(0, 99), data=st.data())
def test_components_hold_the_most_that_any_could(rows: int, dim: int, seed: int, data: st.DataObject) -> None:
    """Components are at right angles, of length 1, and hold the squares of the greatest singular values."""
    vectors = units(rows, dim, seed)
    dims = data.draw(st.integers(1, dim))
    components = principal_components(vectors, dims)
    np.testing.assert_allclose(components @ components.T, np.eye(dims), atol=1e-5)
    singular = np.zeros(dim)
    found = np.linalg.svd(vectors.astype(np.float64), compute_uv=False)
    singular[: len(found)] = found
    np.testing.assert_allclose(((vectors @ components.T) ** 2).sum(), (singular[:dims] ** 2).sum(), rtol=1e-4)


@settings(max_examples=50, deadline=None)
@given(dim=st.integers(1, 70), seed=st.integers(0, 999))
def test_products_of_signs_are_hamming_distances(dim: int, seed: int) -> None:
    """The product of two rows of signs is 1 - 2 / dim times the number of bits that differ."""
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(-1, 2, (4, dim)).astype(np.float32) for _ in range(2))
    differ = ((first > 0)[:, None] != (second > 0)[None]).sum(axis=2)
    np.testing.assert_allclose(signs(first) @ signs(second).T, 1 - 2 * differ / dim, atol=1e-5)
