"""Ground truth in blocks: exact, whatever the form of the data, and within its memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from harness.core.errors import DatasetError
from harness.data import truth as groundtruth
from harness.data.metric import Metric, neighbour_distances, pack_bits
from harness.data.truth import exact_neighbors
from harness.engines.contract import Sets


def all_distances(metric, train, test):
    """Compute every distance in float64."""
    every = np.tile(np.arange(len(train)), (len(test), 1))
    return neighbour_distances(metric, test, train, every)


@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.int8])
def test_blocks_join_without_a_seam(metric, kind, monkeypatch):
    """Many small blocks give what one would, for every number type."""
    monkeypatch.setattr(groundtruth, "_ROW_BLOCK_BYTES", 1)
    monkeypatch.setattr(groundtruth, "_QUERY_BLOCK_BYTES", 1)
    rng = np.random.default_rng(0)
    train, test = (rng.integers(1, 100, (n, 12)).astype(kind) for n in (1000, 300))
    ids, distances = exact_neighbors(metric, train, test, 15, progress=False)
    expected = all_distances(metric, train.astype(np.float32), test.astype(np.float32))
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :15], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(expected, ids, axis=1), distances, rtol=1e-5, atol=1e-9)
    assert ids.dtype == np.int32


def test_padded_bits():
    """Hamming counts a share of the real bits, not of the padding."""
    bits = np.random.default_rng(0).integers(0, 2, (200, 13)).astype(bool)
    packed = pack_bits(bits)
    _, distances = exact_neighbors(Metric.HAMMING, packed, packed[:20], 5, dimension=13, progress=False)
    expected = np.sort((bits[:20, None] != bits[None]).mean(axis=2), axis=1)[:, :5]
    np.testing.assert_allclose(distances, expected)


def test_sets_and_fewer_rows_than_k():
    """Jaccard works, and k is cut to the rows that there are."""
    sets = Sets.of([[1, 2, 3], [2, 3, 4], [9], []])
    ids, distances = exact_neighbors(Metric.JACCARD, sets, sets, 10, progress=False)
    assert ids.shape == (4, 4)
    np.testing.assert_allclose(distances[0], [0.0, 0.5, 1.0, 1.0])


def test_nothing_to_do_is_an_error():
    """Empty data and k = 0 are named."""
    with pytest.raises(DatasetError, match="k = 0"):
        exact_neighbors(Metric.EUCLIDEAN, np.ones((2, 2)), np.ones((2, 2)), 0, progress=False)


MEMORY = textwrap.dedent(
    """
    import sys, threading, time
    import numpy as np
    from pathlib import Path
    from harness.data.truth import exact_neighbors
    from harness.data.metric import Metric

    train = np.load(sys.argv[1], mmap_mode="r")
    small = np.asarray(train[:600])
    exact_neighbors(Metric(sys.argv[2]), small, small, 100, progress=False)

    def held():
        fields = dict(l.split(":", 1) for l in Path("/proc/self/status").read_text().splitlines())
        return int(fields["RssAnon"].split()[0]) * 1024

    base, peak, done = held(), [0], threading.Event()
    def watch():
        while not done.wait(0.01):
            peak[0] = max(peak[0], held())
    watcher = threading.Thread(target=watch)
    watcher.start()
    exact_neighbors(Metric(sys.argv[2]), train, train[:3000], 100, progress=False)
    done.set()
    watcher.join()
    print((peak[0] - base) / 2**30)
    """
)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("metric", ["euclidean", "angular"])
def test_memory_is_bounded(tmp_path, metric):
    """Over memory-mapped data of 1.6 GiB, less than 1 GiB is held beyond the inputs."""
    path = tmp_path / "train.npy"
    data = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(1_100_000, 390))
    rng = np.random.default_rng(0)
    for start in range(0, len(data), 50_000):
        data[start : start + 50_000] = rng.standard_normal((50_000, 390), dtype=np.float32)
    data.flush()
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path), metric], capture_output=True, text=True, check=True)
    assert 0.005 < float(done.stdout) < 1.0
