"""Made-up data of any size, by name and seed: on one machine, the same name gives the same vectors to the last bit.

A name is a recipe, `synthetic-KIND-N-DIM-METRIC`: N vectors to index (a tenth as many queries come on top), e.g.
`synthetic-clusters-100000-64-euclidean`. `-seedS` at the end draws others of the same kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ConfigError, DatasetError
from harness.data.metric import Metric, pack_bits
from harness.data.sources.content import Content
from harness.data.vectors import Data, Sets

PREFIX = "synthetic-"
_PATTERNS = {
    "clusters": "synthetic-clusters-N-DIM-METRIC",
    "uniform": "synthetic-uniform-N-DIM-METRIC",
    "lowdim": "synthetic-lowdim-N-DIM-INTRINSIC-METRIC",
    "bits": "synthetic-bits-N-DIM-hamming",
    "sets": "synthetic-sets-N-UNIVERSE-jaccard",
}
_ABOUT = {
    "clusters": "Gaussian clusters",
    "uniform": "uniform in a cube",
    "lowdim": "a curved surface of few dimensions in many",
    "bits": "bits that differ a little within a cluster",
    "sets": "sets that share topics",
}
_NAME = re.compile(r"synthetic-([a-z]+)((?:-[1-9]\d*)+)-([a-z]+)(?:-seed(\d+))?")
_BLOCK = 16_384


@dataclass(frozen=True)
class Recipe:
    """What a `synthetic-*` name says: kind, rows, dimension (or universe), intrinsic dimension, metric and seed."""

    name: str
    kind: str
    n: int
    dimension: int
    intrinsic: int
    metric: Metric
    seed: int

    @property
    def n_queries(self) -> int:
        """Queries that come on top of the `n` rows."""
        return min(10_000, max(100, self.n // 10))

    @property
    def about(self) -> str:
        """Say in a few words what the vectors look like."""
        return _ABOUT[self.kind]


def parse(name: str) -> Recipe:
    """Read a `synthetic-*` name; raise ConfigError that shows the pattern where it isn't one."""
    match = _NAME.fullmatch(name)
    kind = match[1] if match else name.removeprefix(PREFIX).split("-")[0]
    if kind not in _PATTERNS:
        raise ConfigError(f"{name!r} is no synthetic dataset; the patterns are: {', '.join(_PATTERNS.values())}")
    pattern = _PATTERNS[kind]
    wanted = 3 if kind == "lowdim" else 2
    numbers = [int(part) for part in match[2].split("-")[1:]] if match else []
    if match is None or len(numbers) != wanted:
        raise ConfigError(f"{name!r} should read {pattern}[-seedS], with {wanted} positive numbers")
    allowed = {"bits": ("hamming",), "sets": ("jaccard",)}.get(kind, ("euclidean", "angular", "ip"))
    if match[3] not in allowed:
        raise ConfigError(
            f"{name!r}: {kind} can't be {match[3]!r}, only {', '.join(allowed)}; the pattern is {pattern}"
        )
    if kind == "lowdim" and numbers[2] > numbers[1]:
        raise ConfigError(f"{name!r}: the intrinsic dimension, {numbers[2]}, is more than the dimension, {numbers[1]}")
    if kind == "sets" and numbers[1] < 10:
        raise ConfigError(f"{name!r}: a universe of {numbers[1]} is too small; 10 at least")
    return Recipe(name, kind, numbers[0], numbers[1], numbers[-1], Metric(match[3]), int(match[4] or 0))


def generate(recipe: Recipe) -> Content:
    """Draw the vectors of a recipe.

    Structure (the centres of clusters, say), train and test have random streams of their own, so a larger train has the
    same queries in the same world.
    """
    world, train, test = (np.random.default_rng(s) for s in np.random.SeedSequence(recipe.seed).spawn(3))
    draw = {"clusters": _clusters, "uniform": _uniform, "lowdim": _lowdim, "bits": _bits, "sets": _sets}[recipe.kind]
    try:
        parts = draw(recipe, world, ((train, recipe.n), (test, recipe.n_queries)))
    except (MemoryError, ValueError) as problem:  # NumPy says ValueError where a size doesn't even fit an integer
        raise DatasetError(f"{recipe.name}: too large for this machine's memory ({problem})") from None
    return Content(
        recipe.metric, parts[0], parts[1], recipe.dimension, source=f"generator:{recipe.name}", licence="MIT"
    )


_Draws = tuple[tuple[np.random.Generator, int], tuple[np.random.Generator, int]]


def _n_clusters(recipe: Recipe) -> int:
    return int(np.clip(round(recipe.n**0.5), 2, 1000))


def _clusters(recipe: Recipe, world: np.random.Generator, draws: _Draws) -> list[Data]:
    """Gaussian clouds of unequal size and spread; the mean of all isn't the origin."""
    count = _n_clusters(recipe)
    centres = world.standard_normal((count, recipe.dimension), np.float32) + np.float32(0.5)
    spread = world.uniform(0.3, 0.7, count).astype(np.float32)
    share = world.dirichlet(np.full(count, 2.0))
    parts: list[Data] = []
    for rng, n in draws:
        which = rng.choice(count, n, p=share)
        rows = rng.standard_normal((n, recipe.dimension), np.float32)
        for start in range(0, n, _BLOCK):
            block = slice(start, start + _BLOCK)
            rows[block] *= spread[which[block], None]
            rows[block] += centres[which[block]]
        parts.append(rows)
    return parts


def _uniform(recipe: Recipe, _world: np.random.Generator, draws: _Draws) -> list[Data]:
    """Independent coordinates in [-1, 1): no structure for an index to use."""
    return [2 * rng.random((n, recipe.dimension), np.float32) - 1 for rng, n in draws]


def _lowdim(recipe: Recipe, world: np.random.Generator, draws: _Draws) -> list[Data]:
    """Compute x = z A + sin(2 z B) / 2 with z Gaussian in the intrinsic dimension: a curved surface, without noise."""
    shape = (recipe.intrinsic, recipe.dimension)
    flat, waves = (world.standard_normal(shape, np.float32) / np.float32(recipe.intrinsic**0.5) for _ in range(2))
    parts: list[Data] = []
    for rng, n in draws:
        z = rng.standard_normal((n, recipe.intrinsic), np.float32)
        rows = np.empty((n, recipe.dimension), np.float32)
        for start in range(0, n, _BLOCK):
            block = z[start : start + _BLOCK]
            rows[start : start + _BLOCK] = block @ flat + np.sin(2 * (block @ waves)) / 2
        parts.append(rows)
    return parts


def _bits(recipe: Recipe, world: np.random.Generator, draws: _Draws) -> list[Data]:
    """Each cluster has a pattern, of which a row flips 5 to 25 bits in a hundred."""
    count = _n_clusters(recipe)
    patterns = world.random((count, recipe.dimension)) < 0.5
    flips = world.uniform(0.05, 0.25, count).astype(np.float32)
    parts: list[Data] = []
    for rng, n in draws:
        which = rng.integers(count, size=n)
        packed = np.empty((n, -(-recipe.dimension // 8)), np.uint8)
        for start in range(0, n, _BLOCK):
            chosen = which[start : start + _BLOCK]
            flipped = rng.random((len(chosen), recipe.dimension), np.float32) < flips[chosen, None]
            packed[start : start + _BLOCK] = pack_bits(patterns[chosen] ^ flipped)
        parts.append(packed)
    return parts


def _sets(recipe: Recipe, world: np.random.Generator, draws: _Draws) -> list[Data]:
    """A row takes most members from the pool of its topic, and some from everywhere."""
    universe, count = recipe.dimension, _n_clusters(recipe)
    pool_size = int(np.clip(universe // 10, 4, 200))
    pools = [world.choice(universe, pool_size, replace=False) for _ in range(count)]
    return [_sets_of(rng, n, pools, universe) for rng, n in draws]


def _sets_of(rng: np.random.Generator, n: int, pools: list[NDArray[Any]], universe: int) -> Sets:
    rows = []
    for topic in rng.integers(len(pools), size=n):
        pool = pools[topic]
        size = int(rng.integers(max(2, len(pool) // 4), len(pool) * 3 // 4 + 1))
        rows.append(np.concatenate([rng.choice(pool, size, replace=False), rng.integers(universe, size=size // 4)]))
    return Sets.of(rows)
