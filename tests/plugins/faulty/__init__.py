"""Plug-ins that misbehave, each in one way, on data larger than the small sets of the conformance check."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from harness.core.errors import ParameterError
from harness.engines.contract import Algorithm, Saves

# The check before timing uses fewer vectors than this; faults that wait for more get past it.
REAL = 700


class Exact(Algorithm):
    """A correct exact search in NumPy; `setting` changes nothing."""

    def __init__(self, metric):
        if metric != "euclidean":
            raise ParameterError(f"metric {metric} is not supported")

    def fit(self, train, *, threads=1):
        self.train = train
        self.real = len(train) > REAL

    def searcher(self, *, threads=1, setting=0):
        def search(queries, k):
            distances = ((queries[:, None, :] - self.train[None, :, :]) ** 2).sum(axis=2)
            return np.argsort(distances, axis=1, kind="stable")[:, :k]

        return search


class Slow(Exact):
    """Takes 20 ms to answer a query."""

    def searcher(self, *, threads=1):
        inner = super().searcher()

        def search(queries, k):
            if self.real:
                time.sleep(0.02)
            return inner(queries, k)

        return search


def crash():
    """Read address zero."""
    ctypes.string_at(0)


class SegfaultInFit(Exact):
    """Crashes while it builds."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            crash()


class SegfaultInSearch(Exact):
    """Crashes in one setting."""

    def searcher(self, *, threads=1, setting=0):
        inner = super().searcher()
        if self.real and setting == 2:
            return lambda queries, k: crash()
        return inner


class Exits(Exact):
    """Ends the process, politely."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            os._exit(0)


class Hangs(Exact):
    """Never finishes its build."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        while self.real:
            time.sleep(1)


class HangsInSearch(Exact):
    """Never answers in one setting."""

    def searcher(self, *, threads=1, setting=0):
        inner = super().searcher()
        if self.real and setting == 2:
            return lambda queries, k: time.sleep(3600)
        return inner


class EatsMemory(Exact):
    """Takes memory until it is stopped."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        kept = []
        while self.real:
            kept.append(np.ones(4 << 20, np.uint8))
            time.sleep(0.002)


class RaisesInFit(Exact):
    """Raises while it builds."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            raise RuntimeError("no luck today")


class RaisesInSearch(Exact):
    """Raises in one setting."""

    def searcher(self, *, threads=1, setting=0):
        inner = super().searcher()

        def search(queries, k):
            if self.real and setting == 2:
                raise ValueError("setting 2 is beyond me")
            return inner(queries, k)

        return search


class WrongShape(Exact):
    """Returns k + 1 ids."""

    def searcher(self, *, threads=1, setting=0):
        inner = super().searcher()
        return lambda queries, k: inner(queries, k + 1)


class DuplicateIds(Exact):
    """Returns the nearest id twice."""

    def searcher(self, *, threads=1, setting=0):
        inner = super().searcher()

        def search(queries, k):
            ids = inner(queries, k)
            ids[:, -1] = ids[:, 0]
            return ids

        return search


class DuplicatesLater(Exact):
    """Returns the nearest id twice on real data, in one setting only."""

    def searcher(self, *, threads=1, setting=0):
        inner = super().searcher()

        def search(queries, k):
            ids = inner(queries, k)
            if self.real and setting == 3:
                ids[:, -1] = ids[:, 0]
            return ids

        return search


def overwrite(vectors):
    """Write to read-only vectors, as a careless C library would."""
    ctypes.memset(vectors.ctypes.data, 0, 64)


class ChangesInput(Exact):
    """Writes to what it was given."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        overwrite(train)


class ChangesInputLater(Exact):
    """Writes to what it was given, but on real data only."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            overwrite(train)


class Greedy(Exact):
    """Computes in a second thread while it is asked for one."""

    def searcher(self, *, threads=1, setting=0):
        inner = super().searcher()
        if not self.real or setting != 2:
            return inner

        def search(queries, k):
            # BLAS is held to one thread, but nobody holds a plug-in's own threads.
            other = threading.Thread(target=inner, args=(queries, k))
            other.start()
            answer = inner(queries, k)
            other.join()
            return answer

        return search


class LeavesAChild(Exact):
    """Leaves a process of its own behind, which holds on to all that it inherited."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
            child.start()
            os._exit(3)


class LeavesAThread(Exact):
    """Leaves a thread running that never ends."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        threading.Thread(target=time.sleep, args=(3600,)).start()


class Detaches(Exact):
    """Starts a server in a session of its own, as an index behind a daemon would."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
            with (Path(os.environ["ANNBENCH_TEST_NOTES"]) / "detached.pid").open("a") as notes:
                notes.write(f"{server.pid}\n")


class SleepsInFit(Exact):
    """Takes more than a second to build."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            time.sleep(1.5)


class SavesRows(Exact, Saves):
    """Can be saved and loaded."""

    def save(self, path):
        with path.open("wb") as file:
            np.save(file, self.train)

    def load(self, path):
        with path.open("rb") as file:
            self.train = np.load(file)
        self.real = len(self.train) > REAL


def loading_again():
    """Say whether this process loads an index that another one saved."""
    return not getattr(sys.modules["__main__"], "_fitted", False)


class FitsOnce(SavesRows):
    """Tells by its process whether it was built there."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        sys.modules["__main__"]._fitted = True


class LoadsNothing(FitsOnce):
    """Raises where another process loads it."""

    def load(self, path):
        if loading_again():
            raise ValueError("not my index")
        super().load(path)


class CrashesAtLoading(FitsOnce):
    """Crashes where another process loads it."""

    def load(self, path):
        if loading_again():
            crash()
        super().load(path)


class CrashesInSave(Exact, Saves):
    """Crashes while it is saved."""

    def save(self, path):
        crash()

    def load(self, path):
        crash()


class Tampers(Exact):
    """Takes away what the harness needs once the index is built."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            sys.modules["__main__"].ExactDistances = None


def fill_the_disk():
    """Write to a device that is always full."""
    with Path("/dev/full").open("w") as full:
        full.write("index")


class FillsTheDiskInFit(Exact):
    """Finds the disk full while it builds."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if self.real:
            fill_the_disk()


class FillsTheDiskInSearch(Exact):
    """Finds the disk full while it searches."""

    def searcher(self, *, threads=1, setting=0):
        if self.real:
            fill_the_disk()
        return super().searcher()


class FillsTheDiskInACheck(Exact):
    """Finds the disk full while it is checked."""

    def searcher(self, *, threads=1, setting=0):
        fill_the_disk()
