"""Locality-sensitive hashing: random functions under which near vectors collide more often than far ones.

Several tables of buckets (Indyk and Motwani 1998), keyed by random hyperplanes (Charikar 2002) or p-stable projections
(Datar et al. 2004), are probed in the order of Lv et al. (2007); sketches choose which of the vectors found there are
ranked exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.bundle import Bundle, bundle, record
from algorithms.kernels.codes.fast_scan import BLOCK, LARGEST_CODE, SEGMENT
from algorithms.kernels.codes.scaling import angle_limit
from algorithms.kernels.jit import read_only
from algorithms.kernels.parameters import check_number, check_seed, check_whole, is_auto
from algorithms.kernels.saved import Arrays, Saved, SavedIndex, named, part_of
from algorithms.lsh import hash_kernels, kernels, tuning
from algorithms.lsh.byte_rows import Rows, to_bytes
from algorithms.lsh.checks import MAX_FUNCTIONS, check_parts
from algorithms.lsh.hadamard import random_signs, rotation_size
from algorithms.lsh.hash_kernels import Hashes
from algorithms.lsh.kernels import Tables
from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Search, Vectors

Auto = Literal["auto"]

METRICS = (Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP)
# Rows hashed at a time by one thread.
CHUNK = 8192
# Step between the 16 levels at which rounding a Gaussian of variance 1 costs least (Max 1960).
GAUSSIAN_STEP = 0.3352


class LSH(SavedIndex):
    """Locality-sensitive hashing with multi-probe, sketches and exact ranking.

    `n_tables` tables, keyed by `n_bits` functions each: the sides of hyperplanes under angular and ip, numbers of
    buckets of `bucket_width` under euclidean. `sketch_dim` projections, a multiple of 32, are kept of each vector in 4
    bits. What is `"auto"` follows from the data and `target_recall` (`effective` tells how); so do `n_candidates`
    and `reach` of a search. Under ip, rows are lifted to equal length by one more coordinate (Neyshabur and Srebro
    2015), so that inner products rank as angles do.
    """

    name = "lsh"

    def __init__(
        self,
        metric: Metric,
        *,
        n_tables: int | Auto = "auto",
        n_bits: int | Auto = "auto",
        bucket_width: float | Auto = "auto",
        sketch_dim: int | Auto = "auto",
        target_recall: float = 0.9,
        seed: int = 0,
    ) -> None:
        self._metric = Metric(metric)
        if self._metric not in METRICS:
            raise ParameterError(f"lsh: metric {metric} is not supported; use one of {', '.join(METRICS)}")
        self._hyperplanes = self._metric is not Metric.EUCLIDEAN
        if not is_auto(n_tables):
            check_whole("lsh", "n_tables", n_tables, 1, "usually 1 to 16, or auto")
        most = tuning.MAX_SLOT_BITS if self._hyperplanes else MAX_FUNCTIONS
        if not is_auto(n_bits):
            check_whole("lsh", "n_bits", n_bits, 1, f"under {self._metric}, or auto", most)
        if not is_auto(bucket_width):
            hint = "a positive distance under euclidean, and auto under others"
            most_width = 0.0 if self._hyperplanes else np.inf
            check_number("lsh", "bucket_width", bucket_width, 0.0, hint, above=True, below=most_width)
        if not is_auto(sketch_dim):
            check_whole("lsh", "sketch_dim", sketch_dim, SEGMENT, f"a multiple of {SEGMENT}, or auto", LARGEST_CODE)
            if int(sketch_dim) % SEGMENT:
                raise ParameterError(f"lsh: sketch_dim = {sketch_dim}; use a multiple of {SEGMENT}, or auto")
        hint = "a share between 0 and 1, such as 0.9"
        check_number("lsh", "target_recall", target_recall, 0.0, hint, above=True, below=1.0)
        check_seed("lsh", seed)
        self._n_tables = tuning.N_TABLES if n_tables == "auto" else int(n_tables)
        self._n_bits, self._bucket_width = n_bits, bucket_width
        self._sketch_dim = sketch_dim if sketch_dim == "auto" else int(sketch_dim)
        self._target, self._seed = target_recall, int(seed)
        self.effective: dict[str, Any] = {}
        self._counts: list[NDArray[np.int64]] = []

    def compile(self, sample: Vectors) -> None:
        """Compile every kernel of `fit` and search on the sample."""
        warm = LSH(self._metric, seed=self._seed)
        warm.fit(sample)
        warm.searcher(n_probes=1, n_candidates=1)(sample[:1], 1)

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Hash `train` (n, dim) into the tables, and find what reaches the target recall on a sample of it."""
        rows = normalise(train) if self._metric is Metric.ANGULAR else train
        rows = read_only(rows)
        n, self._dim = rows.shape
        self._radius = {Metric.EUCLIDEAN: 0.0, Metric.ANGULAR: 1.0}.get(self._metric, _largest_norm(rows))
        rng = np.random.default_rng(self._seed)
        self._hashes, positions = self._draw(rows, rng)
        sketches = np.empty((n, positions), np.uint8)
        slots = np.empty((self._n_tables, n), np.int32)
        bits = 64 - int(self._hashes.shift)
        blocks = -(-n // BLOCK)
        self._tables = Tables(
            np.zeros((self._n_tables, (1 << bits) + 1), np.int32),
            np.empty((self._n_tables, n), np.int32),
            np.zeros((self._n_tables, blocks * BLOCK * positions // 2), np.uint8),
        )

        def hash_chunk(first: int) -> None:
            chunk = self._lifted(rows[first : first + CHUNK])
            hash_kernels.hash_rows(chunk, first, first + len(chunk), self._hashes, sketches, slots)

        def fill(t: int) -> None:
            hash_kernels.fill_table(
                slots[t], sketches, self._tables.directory[t], self._tables.ids[t], self._tables.codes[t]
            )

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(hash_chunk, range(0, n, CHUNK)))
            list(pool.map(fill, range(self._n_tables)))
        self._rows = _in_bytes(rows, self._radius, by_dot=self._hyperplanes)
        self._tune(rows, rng, threads)

    def _draw(self, rows: Vectors, rng: np.random.Generator) -> tuple[Hashes, int]:
        """Draw the random functions, with as many bits and as wide buckets as the data ask for."""
        n, dim = len(rows), rows.shape[1] + (self._metric is Metric.IP)
        centre = _mean(rows, dim, self._radius)
        sample = self._lifted(rows[rng.integers(0, n, min(n, tuning.PAIRS))])
        away = (sample - centre).astype(np.float64)
        spread = float(np.sqrt(np.einsum("ij,ij->i", away, away).mean())) if n else 0.0
        size = rotation_size(dim)
        positions = tuning.sketch_dim(size) if self._sketch_dim == "auto" else self._sketch_dim
        positions = min(positions, size)
        if self._hyperplanes:
            n_functions = tuning.hyperplane_bits(away, n) if self._n_bits == "auto" else int(self._n_bits)
            slot_bits, width = n_functions, 0.0
            multipliers = np.uint64(1) << np.arange(64 - n_functions, 64, dtype=np.uint64)
            multipliers = np.tile(multipliers, (self._n_tables, 1))
            offsets = np.zeros((self._n_tables, n_functions), np.float32)
        else:
            n_functions = tuning.P_STABLE_FUNCTIONS if self._n_bits == "auto" else int(self._n_bits)
            width = tuning.bucket_width(away, n_functions, n) if self._bucket_width == "auto" else self._bucket_width
            slot_bits = tuning.slot_bits(n)
            # Multiplying by odd random numbers and keeping the highest bits spreads the keys evenly over the slots
            # (Dietzfelbinger et al. 1997); that two buckets share a slot now and then costs a few false candidates.
            multipliers = rng.integers(0, 1 << 64, (self._n_tables, n_functions), np.uint64) | np.uint64(1)
            offsets = (rng.random((self._n_tables, n_functions)) * width).astype(np.float32)
        self.effective = {"n_tables": self._n_tables, "n_bits": n_functions, "sketch_dim": positions}
        if not self._hyperplanes:
            self.effective["bucket_width"] = float(width)
        if self._metric is Metric.ANGULAR:
            self.effective |= angle_limit(rows)
        blocks = -(-(positions + self._n_tables * n_functions) // size)
        step = GAUSSIAN_STEP * spread if spread > 0.0 else 1.0
        shift = np.uint64(64 - slot_bits)
        signs = random_signs(rng, blocks, dim)
        return Hashes(centre, signs, multipliers, offsets, float(width), shift, step), positions

    def _lifted(self, rows: Vectors) -> Vectors:
        """Add, under ip, the coordinate sqrt(M^2 - |x|^2) that makes all rows as long as the longest."""
        if self._metric is not Metric.IP:
            return rows
        lifted = np.empty((len(rows), rows.shape[1] + 1), np.float32)
        lifted[:, :-1] = rows
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        lifted[:, -1] = np.sqrt(np.maximum(self._radius**2 - squares, 0.0))
        return read_only(lifted)

    def _tune(self, rows: Vectors, rng: np.random.Generator, threads: int) -> None:
        """Choose `n_candidates` and `reach` by the recall on a sample of the rows, each but for itself."""
        self._auto_candidates, self._auto_reach = 1.0, np.inf
        sample = np.sort(rng.choice(len(rows), min(len(rows), tuning.SAMPLE), replace=False))
        truth = tuning.neighbours(rows, sample, by_dot=self._hyperplanes, threads=threads)
        k = truth.shape[1]

        def recall(reach: float, n_candidates: int) -> float:
            search = self.searcher(threads=threads, n_candidates=n_candidates, reach=reach)
            return tuning.recall(search(rows[sample], k + 1), truth, sample)

        if k:
            reach, n_candidates = tuning.choose(recall, self._target, k)
            self._auto_candidates, self._auto_reach = n_candidates / k, reach
            self.effective |= {"n_candidates": n_candidates, "reach": reach}

    def searcher(  # type: ignore[override]
        self,
        *,
        threads: int = 1,
        n_probes: int | Auto = "auto",
        n_candidates: int | Auto = "auto",
        reach: float | Auto = "auto",
    ) -> Search:
        """Bind how many buckets are opened, and how many of the vectors in them are ranked exactly.

        `n_probes` is the number of buckets in all tables together; it is all of them unless given. `reach` ends the
        search of a query earlier, when the boundaries that lie before the next bucket are farther than so many times
        the k-th distance known (both squared); unless given it is what the target recall needs, or unlimited where
        `n_probes` is given. `n_candidates` of the vectors met are ranked exactly, k at least. Where the buckets hold
        fewer than k, a whole table is scanned.
        """
        if not is_auto(n_probes):
            check_whole("lsh", "n_probes", n_probes, 1, "usually n_tables to 1000, or auto")
        if not is_auto(n_candidates):
            check_whole("lsh", "n_candidates", n_candidates, 1, "usually 3 to 30 times k, or auto")
        if not is_auto(reach) and reach != np.inf:
            check_number("lsh", "reach", reach, 0.0, "0 or more, usually 0.1 to 3, or auto")
        if reach == "auto":
            reach = self._auto_reach if n_probes == "auto" else np.inf
        n, dim = self._rows.bytes.shape
        if n == 0:
            return lambda queries, k: np.full((len(queries), k), -1)
        probes = self._n_tables * (self._tables.directory.shape[1] - 1)
        if n_probes != "auto":
            probes = min(n_probes, probes)
        factor, find = self._auto_candidates, kernels.search
        bundles = [self._bundled(probes, float(reach)) for _ in range(threads)]
        self._counts = [one.arrays[-1] for one in bundles]
        alone = bundles[0]

        def search(queries: Any, k: int) -> NDArray[np.int64]:
            if queries.shape[1] != dim:
                raise ParameterError(f"lsh: queries of {queries.shape[1]} dimensions, but rows of {dim}")
            m = len(queries)
            ids = np.empty((m, k), np.int64)
            if k == 0 or m == 0:
                return ids
            keep = n_candidates if n_candidates != "auto" else int(np.ceil(factor * k))
            queries = read_only(queries)
            if threads == 1 or m == 1:
                find(alone.table, queries, 0, m, keep, ids)
                return ids
            ends = np.linspace(0, m, threads + 1).astype(int).tolist()

            def work(i: int) -> None:
                find(bundles[i].table, queries, ends[i], ends[i + 1], keep, ids)

            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, range(threads)))
            return ids

        return search

    def _bundled(self, n_probes: int, reach: float) -> Bundle:
        """Bundle the index and what one thread's searches write to, in the order of `kernels.unbundle`."""
        hashes, tables, rows = self._hashes, self._tables, self._rows
        settings = record(
            kernels.SETTINGS,
            shift=hashes.shift,
            n_probes=n_probes,
            width=hashes.width,
            sketch_step=hashes.step,
            low=rows.low,
            step=rows.step,
            error=rows.error,
            radius=rows.radius,
            reach=reach,
            by_dot=rows.by_dot,
        )
        return bundle(
            (
                hashes.centre,
                hashes.signs.reshape(-1, hashes.signs.shape[2]),
                hashes.multipliers,
                hashes.offsets,
                *tables,
                rows.bytes,
                rows.exact,
                settings,
                np.zeros(len(rows.bytes) + 1, np.uint8),
                np.zeros(3, np.int64),
            )
        )

    def index_bytes(self) -> int:
        """Return the size of the tables, the random functions and the vectors in both forms."""
        arrays = [a for part in (self._hashes, self._tables, self._rows) for a in part if isinstance(a, np.ndarray)]
        return sum(a.nbytes for a in arrays)

    def counters(self) -> Mapping[str, int]:
        """Return, since the last bind, exact distances, vectors met in buckets, and buckets opened."""
        distances, candidates, probes = sum(self._counts, np.zeros(3, np.int64)).tolist()
        return {"distance_computations": distances, "candidates": candidates, "probes": probes}

    def _parameters(self) -> dict[str, Any]:
        return {
            "n_tables": self._n_tables,
            "n_bits": self._n_bits,
            "bucket_width": self._bucket_width,
            "sketch_dim": self._sketch_dim,
            "target_recall": self._target,
            "seed": self._seed,
        }

    def _state(self) -> dict[str, Any]:
        return {
            "hashes": _scalars(self._hashes),
            "rows": _scalars(self._rows),
            "auto_candidates": self._auto_candidates,
            "auto_reach": self._auto_reach,
        }

    def _arrays(self) -> Arrays:
        arrays: Arrays = {}
        for part, value in (("hashes", self._hashes), ("tables", self._tables), ("rows", self._rows)):
            arrays |= named(part, {key: one for key, one in value._asdict().items() if isinstance(one, np.ndarray)})
        return arrays

    def _restore(self, saved: Saved) -> None:
        state, arrays = saved.state, saved.arrays
        functions, scale = state.part("hashes"), state.part("rows")
        self._hashes = Hashes(
            **part_of(arrays, "hashes"),
            width=functions.number("width"),
            shift=np.uint64(functions.integer("shift", 64 - tuning.MAX_SLOT_BITS, 63)),
            step=functions.number("step"),
        )
        self._tables = Tables(**part_of(arrays, "tables"))
        rows = Rows(
            **part_of(arrays, "rows"),
            low=scale.number("low"),
            step=scale.number("step"),
            error=scale.number("error"),
            radius=scale.number("radius"),
            by_dot=scale.flag("by_dot"),
        )
        check_parts(self._hashes, self._tables, rows, saved.dim, lifted=self._metric is Metric.IP)
        if len(self._tables.ids) != self._n_tables:
            raise ValueError(f"it has {len(self._tables.ids)} tables, not {self._n_tables}")
        self._rows = rows._replace(exact=read_only(rows.exact))
        self._auto_candidates, self._auto_reach = state.number("auto_candidates"), state.number("auto_reach")


def _scalars(part: Hashes | Rows) -> dict[str, Any]:
    """Return the fields that are no arrays."""
    return {name: value for name, value in part._asdict().items() if not isinstance(value, np.ndarray)}


def _mean(rows: Vectors, dim: int, radius: float) -> NDArray[np.float32]:
    """Return the mean of the rows (dim,), that of the lifted coordinate included where `dim` counts it."""
    centre = np.zeros(dim, np.float64)
    if len(rows):
        centre[: rows.shape[1]] = rows.mean(axis=0, dtype=np.float64)
        if dim > rows.shape[1]:
            squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
            centre[-1] = np.sqrt(np.maximum(radius**2 - squares, 0.0)).mean()
    return centre.astype(np.float32)


def _largest_norm(rows: Vectors) -> float:
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return float(np.sqrt(squares.max(initial=0.0)))


def _in_bytes(rows: Vectors, radius: float, *, by_dot: bool) -> Rows:
    """Round rows to bytes, exactly where all values are whole numbers within 255 of each other."""
    low, high = (float(rows.min()), float(rows.max())) if rows.size else (0.0, 0.0)
    step = (high - low) / 255.0 or 1.0
    if high - low <= 255.0 and low.is_integer() and (rows == np.rint(rows)).all():
        step = 1.0
    coded = np.empty(rows.shape, np.uint8)
    error = float(np.sqrt(to_bytes(rows, low, step, coded)))
    exact = rows if error else read_only(np.empty((0, rows.shape[1]), np.float32))
    return Rows(coded, exact, low, step, error, radius, by_dot)
