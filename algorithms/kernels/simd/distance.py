"""Distances between a stored row and a query: each sums in float32, or in float64 where its name says exact."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import popcount

Array = Any


@kernel
def squared_l2(rows: Array, i: int, query: Array) -> np.float32:
    """Sum (rows[i] - query)^2 over the columns of `rows` (n, dim) float32; `query` (dim,) float32."""
    total = np.float32(0.0)
    for j in range(query.shape[0]):
        difference = rows[i, j] - query[j]
        total += difference * difference
    return total


@kernel
def dot(rows: Array, i: int, query: Array) -> np.float32:
    """Sum rows[i] * query over the columns of `rows` (n, dim) float32; `query` (dim,) float32."""
    total = np.float32(0.0)
    for j in range(query.shape[0]):
        total += rows[i, j] * query[j]
    return total


@kernel
def exact_squared_l2(rows: Array, i: int, query: Array) -> float:
    """Sum (rows[i] - query)^2 in float64."""
    total = 0.0
    for j in range(query.shape[0]):
        difference = np.float64(rows[i, j]) - np.float64(query[j])
        total += difference * difference
    return total


@kernel
def exact_dot(rows: Array, i: int, query: Array) -> float:
    """Sum rows[i] * query in float64."""
    total = 0.0
    for j in range(query.shape[0]):
        total += np.float64(rows[i, j]) * np.float64(query[j])
    return total


@kernel
def differing_bits(rows: Array, i: int, query: Array) -> int:
    """Count the bits in which rows[i] and `query` differ; `rows` (n, words) uint64, `query` (words,) uint64."""
    total = 0
    for j in range(query.shape[0]):
        total += popcount(rows[i, j] ^ query[j])
    return total
