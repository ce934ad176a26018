"""A lock file: one holder at a time, refused in one line, and let go by a holder that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import StoreError
from harness.core.lock import held_alone

HOLDER = """
import sys, time
from pathlib import Path
from harness.core.errors import StoreError
from harness.core.lock import held_alone
with held_alone(Path(sys.argv[1]), "the folder is being written", StoreError):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_holder_is_refused_in_one_line(tmp_path: Path) -> None:
    """The message says what is going on, and the first holder keeps the lock."""
    lock = tmp_path / "lock"
    with held_alone(lock, "the folder is being written", StoreError):
        for _ in range(2):
            with (
                pytest.raises(StoreError, match=r"^the folder is being written by another process; wait for it to fin"),
                held_alone(lock, "the folder is being written", StoreError),
            ):
                pass
        assert lock.exists()


def test_the_file_is_gone_afterwards(tmp_path: Path) -> None:
    """Whether the block ends or fails, the lock can be taken again, and no file is left."""
    lock = tmp_path / "lock"
    with pytest.raises(KeyboardInterrupt), held_alone(lock, "it is being written", StoreError):
        raise KeyboardInterrupt
    with held_alone(lock, "it is being written", StoreError):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    """What a killed process held can be held by the next one, although its file still lies there."""
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="by another process"), held_alone(lock, "it is written", StoreError):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert lock.exists()
    with held_alone(lock, "it is written", StoreError):
        pass


def test_a_lock_that_cannot_be_created_is_an_os_error(tmp_path: Path) -> None:
    """Where the file can't be created, the caller hears of it as of any other file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), held_alone(tmp_path / "file" / "lock", "x", StoreError):
        pass
