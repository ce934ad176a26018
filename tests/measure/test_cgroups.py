"""What a container allows: read from files as the kernel writes them, of both versions, and from a real group."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.core.cores import usable_cores
from harness.measure.cgroups import Allowed, allowed, throttled_ns
from harness.measure.limits import beyond, default_build_threads, memory_allowance
from harness.measure.machine import describe_machine
from harness.measure.timing import is_disturbed

MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[2]

V1_MOUNTS = """\
22 1 259:1 / / rw,relatime - ext4 /dev/root rw
31 22 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct ro,nosuid - cgroup cgroup rw,cpu,cpuacct
33 31 0:32 {top} /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
40 31 0:37 {top} /sys/fs/cgroup/systemd ro,nosuid - cgroup cgroup rw,xattr,name=systemd
"""
V2_MOUNTS = "30 23 0:26 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def tree(root: Path, mounts: str, membership: str, files: dict[str, str]) -> Path:
    """Write a root folder: what /proc says of this process, and files below /sys/fs/cgroup."""
    for name, text in {
        "proc/self/mountinfo": mounts,
        "proc/self/cgroup": membership,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_version_2_in_a_name_space(tmp_path: Path) -> None:
    """As in a container of today: its own group is the root of what it sees."""
    files = {
        "memory.max": "536870912\n",
        "memory.high": "max\n",
        "cpu.max": "150000 100000\n",
        "cpu.stat": "usage_usec 22400\nnr_periods 12\nnr_throttled 7\nthrottled_usec 451000\nnr_bursts 0\n",
    }
    root = tree(tmp_path, V2_MOUNTS.format(top="/"), "0::/\n", files)
    assert allowed(root) == Allowed(512 * MIB, 1.5)
    assert throttled_ns(root) == 451_000_000


def test_the_smallest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    """A unit of systemd in a slice with limits of its own; memory.high slows down, so it is a limit as well."""
    files = {
        "system.slice/memory.max": str(900 * MIB),
        "system.slice/cpu.max": "50000 100000\n",
        "system.slice/cpu.stat": "throttled_usec 3000\n",
        "system.slice/bench.service/memory.max": "max\n",
        "system.slice/bench.service/memory.high": str(700 * MIB),
        "system.slice/bench.service/cpu.max": "max 100000\n",
        "system.slice/bench.service/cpu.stat": "throttled_usec 500\n",
    }
    root = tree(tmp_path, V2_MOUNTS.format(top="/"), "0::/system.slice/bench.service\n", files)
    assert allowed(root) == Allowed(700 * MIB, 0.5)
    assert throttled_ns(root) == 3_500_000


@pytest.mark.parametrize(
    ("top", "below"),
    [("/", "docker/1a/"), ("/docker/1a", "")],  # seen from the host, and from a container without a name space
)
def test_version_1(tmp_path: Path, top: str, below: str) -> None:
    """Each controller has a tree of its own; "no limit" is a number there, and a quota of -1."""
    files = {
        f"memory/{below}memory.limit_in_bytes": f"{256 * MIB}\n",
        f"cpu,cpuacct/{below}cpu.cfs_quota_us": "20000\n",
        f"cpu,cpuacct/{below}cpu.cfs_period_us": "100000\n",
        f"cpu,cpuacct/{below}cpu.stat": "nr_periods 40\nnr_throttled 31\nthrottled_time 2511034517\n",
    }
    if below:
        files |= {
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        }
    membership = "12:memory:/docker/1a\n5:cpu,cpuacct:/docker/1a\n1:name=systemd:/docker/1a\n0::/docker/1a\n"
    root = tree(tmp_path, V1_MOUNTS.format(top=top), membership, files)
    assert allowed(root) == Allowed(256 * MIB, 0.2)
    assert throttled_ns(root) == 2_511_034_517


@pytest.mark.parametrize(
    ("mounts", "membership", "files"),
    [
        ("", "", {}),
        (V2_MOUNTS.format(top="/"), "0::/\n", {}),
        (V2_MOUNTS.format(top="/"), "0::/../../elsewhere\n", {"memory.max": "max", "cpu.max": "max 100000"}),
        (V2_MOUNTS.format(top="/"), "0::/\n", {"memory.max": "", "cpu.max": "broken", "cpu.stat": "throttled_usec\n"}),
        (V1_MOUNTS.format(top="/"), "12:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}),
        ("a line\n\n- cgroup2\n", "no colons\n", {}),
    ],
)
def test_no_limit(tmp_path: Path, mounts: str, membership: str, files: dict[str, str]) -> None:
    """Nothing is limited where nothing says so, and no file is needed for that."""
    root = tree(tmp_path, mounts, membership, files)
    assert allowed(root) == Allowed(None, None)
    assert throttled_ns(root) == 0


def test_what_exceeds_a_container_is_told() -> None:
    """Threads beyond the quota, and memory that the kernel would not give; within the limits nothing is said."""
    container = Allowed(512 * MIB, 1.5)
    assert beyond(container, threads=1, build_threads=1, memory=400 * MIB) == []
    assert beyond(Allowed(), threads=8, build_threads=8, memory=1 << 40) == []
    builds, memory = beyond(container, threads=1, build_threads=2, memory=1024 * MIB)
    assert builds.startswith("this container may use 1.5 cores, so builds with 2 threads are throttled")
    assert memory.startswith("this container may hold 0.50 GiB, less than the 1.00 GiB of --memory")


def test_a_quota_makes_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of memory doesn't: it decides what ends, not how fast. Without a quota keys stay as they are."""
    keys = {}
    for container in (Allowed(), Allowed(memory=512 * MIB), Allowed(cpus=1.5)):
        monkeypatch.setattr("harness.measure.machine.allowed", lambda container=container: container)
        machine = describe_machine.__wrapped__()
        keys[container] = machine["key"]
        assert (machine.get("cpu_quota"), machine["memory_limit"]) == (container.cpus, container.memory)
    assert keys[Allowed()] == keys[Allowed(memory=512 * MIB)] != keys[Allowed(cpus=1.5)]


def test_a_container_gets_its_own_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the smaller of both: a limit beyond the machine's memory is none; a quota of half a core is one thread."""
    monkeypatch.setattr("harness.measure.limits.allowed", lambda: Allowed(512 * MIB, 0.5))
    assert (memory_allowance(), default_build_threads()) == (int(0.9 * 512 * MIB), 1)
    total = psutil.virtual_memory().total
    monkeypatch.setattr("harness.measure.limits.allowed", lambda: Allowed(1 << 50, 1e6))
    assert (memory_allowance(), default_build_threads()) == (int(0.9 * total), len(usable_cores()))


@pytest.mark.parametrize("mode", ["single", "batch"])
def test_a_throttled_pass_is_disturbed(mode: str) -> None:
    """In batch mode nothing else tells it: all threads of the group wait for the next period at once."""
    record = {"cpu_share": 1.0, "steal": 0.0, "yardstick_ns": [100, 100]}
    assert not is_disturbed(record, mode, 100.0)  # type: ignore[arg-type]
    assert not is_disturbed({**record, "throttled": 0.001}, mode, 100.0)  # type: ignore[arg-type]
    assert is_disturbed({**record, "throttled": 0.2}, mode, 100.0)  # type: ignore[arg-type]


# Spins until it was throttled, which takes a millisecond in a tenth of a second.
_IN_THE_GROUP = """
import json, sys, time
from harness.measure.cgroups import allowed, throttled_ns
from harness.measure.limits import memory_allowance
print("ready", flush=True)
sys.stdin.readline()
until = time.monotonic() + 30
while not throttled_ns() and time.monotonic() < until:
    pass
print(json.dumps([allowed().memory, allowed().cpus, throttled_ns(), memory_allowance()]))
"""


@contextlib.contextmanager
def group(*settings: tuple[str, str, str]) -> Iterator[list[Path]]:
    """Make a group with a group below it, and yield the lower one of each tree; skip where that isn't allowed."""
    base, made = Path("/sys/fs/cgroup"), []
    name = f"annbench-test-{os.getpid()}"
    v2 = (base / "cgroup.controllers").exists()
    try:
        for tree_name in [""] if v2 else ["cpu", "memory"]:
            upper = base / tree_name / name
            for folder in (upper, upper / "below"):
                folder.mkdir()
                made.append(folder)
        if v2:
            (made[0] / "cgroup.subtree_control").write_text("+cpu +memory")
        for controller, file, value in settings:
            (base / ("" if v2 else controller) / name / file).write_text(value)
        yield [folder for folder in made if folder.name == "below"]
    except OSError as refused:
        pytest.skip(f"no control group can be made here ({refused})")
    finally:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are the Linux kernel's")
def test_a_real_group() -> None:
    """A process in a group below one with limits sees them, and that it is throttled."""
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    settings = (
        [("cpu", "cpu.max", "1000 100000"), ("memory", "memory.max", str(512 * MIB))]
        if v2
        else [
            ("cpu", "cpu.cfs_period_us", "100000"),
            ("cpu", "cpu.cfs_quota_us", "1000"),
            ("memory", "memory.limit_in_bytes", str(512 * MIB)),
        ]
    )
    with group(*settings) as folders:
        child = subprocess.Popen(
            [sys.executable, "-c", _IN_THE_GROUP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"  # to import takes long under the quota
            for folder in folders:
                (folder / "cgroup.procs").write_text(str(child.pid))
            out, _ = child.communicate("go\n", timeout=120)
        finally:
            child.kill()
            child.wait()
        memory, cpus, throttled, allowance = json.loads(out)
    assert (memory, cpus) == (512 * MIB, 0.01)
    assert throttled > 0
    assert allowance == int(0.9 * 512 * MIB)
