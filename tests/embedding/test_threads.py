"""Threads that wait don't take the cores that others need, and there are no more of them than free cores."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch")

from harness.core.cores import FreeCores, usable_cores  # noqa: E402
from harness.core.waiting import waiting_environment  # noqa: E402
from harness.embedding import threads as module  # noqa: E402
from harness.embedding.threads import Threads  # noqa: E402

BUSY = "import os, sys\nos.sched_setaffinity(0, [int(sys.argv[1])])\nprint(flush=True)\nwhile True: pass"
SPUN = "import os, harness.embedding, torch; print(os.environ['GOMP_SPINCOUNT'], os.environ['OMP_WAIT_POLICY'])"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can't be chosen here")
def test_a_core_that_others_use_is_not_free() -> None:
    """A busy loop takes some of its core; what this process does itself takes none."""
    core = usable_cores()[-1]
    with subprocess.Popen([sys.executable, "-c", BUSY, str(core)], stdout=subprocess.PIPE) as loop:
        assert loop.stdout is not None
        loop.stdout.readline()
        watch = FreeCores([core])
        time.sleep(0.4)
        free = watch.look()
        loop.kill()
    assert 0.0 <= free < 0.7


class Free:
    """Says what it was told to, in place of a machine that is as busy as the test needs it."""

    def __init__(self, *free: float) -> None:
        self.free = list(free)

    def look(self) -> float:
        """Return the next number of free cores."""
        return self.free.pop(0)


def test_there_are_as_many_threads_as_free_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread at least, never more than at first, and again more where the machine became quiet."""
    for name in module.FIXED_BY:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        threads = Threads(every=0.0)
        monkeypatch.setattr(threads, "_free", Free(0.0, 0.7, 2.0, 9.0))
        found = [(threads.adjust(), torch.get_num_threads()) for _ in range(4)]
        assert found == [(1, 1), (1, 1), (2, 2), (2, 2)]
        torch.set_num_threads(1)
        assert threads.adjust() == 1  # without a look: somebody else chose it
    finally:
        torch.set_num_threads(before)


def test_a_number_of_threads_that_was_given_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """With OMP_NUM_THREADS, sums are made in the same order however busy the machine is."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    threads = Threads(every=0.0)
    monkeypatch.setattr(threads, "_free", Free())
    assert threads.adjust() == torch.get_num_threads()


def test_torch_is_loaded_with_short_waits() -> None:
    """Who imports our encoders, from a notebook too, has it set before torch reads it."""
    bare = {name: value for name, value in os.environ.items() if name not in waiting_environment({})}
    done = subprocess.run([sys.executable, "-c", SPUN], env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1000", "passive"]


def test_a_policy_that_was_chosen_stays() -> None:
    """A user's own policy isn't undone by a number of turns that says something else."""
    chosen = waiting_environment({"OMP_WAIT_POLICY": "active", "OPENBLAS_THREAD_TIMEOUT": "26"})
    assert chosen == {}
