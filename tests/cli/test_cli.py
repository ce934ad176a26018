"""The command line as a person meets it."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from harness.cli.options import parse_bytes, parse_seconds
from harness.core.errors import ConfigError

VERBS = ["list", "prepare", "run", "results", "report", "export", "study", "check", "new-plugin", "embed", "train"]
VERBS += ["evaluate"]
NESTED = [["results", verb] for verb in ("list", "show", "rm", "merge")]
FAULTY = Path(__file__).parents[1] / "plugins" / "faulty"
SMALL = ["-d", "digits-64-euclidean", "-a", "brute_force", "--queries", "20", "--passes", "1", "--group", "quick"]


@pytest.fixture
def cli(annbench):
    """Return a function that runs `annbench` in an empty folder and gives (exit status, stdout, stderr)."""
    return annbench


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return a folder in which two algorithms were measured on digits."""
    folder = tmp_path_factory.mktemp("measured")
    environment = {**os.environ, "ANNBENCH_HOME": str(folder)}
    command = [sys.executable, "-m", "harness.cli.main", "run", *SMALL, "-a", "sklearn-kd-tree"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("words", [[], *([v] for v in VERBS), *NESTED], ids=" ".join)
def test_each_help_has_an_example(cli, words):
    """Every verb's help shows a command that could be typed."""
    status, out, _ = cli(*words, "--help")
    assert status == 0
    assert "Example" in out
    assert "annbench " + " ".join(words[:1]) in out


def test_help_imports_nothing_heavy():
    """`annbench --help` stays quick because nothing heavy is imported for it."""
    heavy = ("numpy", "h5py", "pandas", "matplotlib", "numba", "faiss", "scipy", "torch", "pydantic")
    script = (
        "import sys; sys.argv = ['annbench', '--help']\n"
        "from harness.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_version(cli):
    """The version can be asked for."""
    assert re.fullmatch(r"annbench \d+\.\d+\.\d+\n", cli("--version")[1])


@pytest.mark.parametrize(
    ("subject", "telling"),
    [
        ("algorithms", "brute_force"),
        ("datasets", "glove-100-angular"),
        ("suites", "quick"),
        ("measures", "recall_annb"),
    ],
)
def test_lists(cli, subject, telling):
    """Each list names what it should; nothing is cut off when piped."""
    status, out, _ = cli("list", subject)
    assert status == 0
    assert telling in out
    assert "…" not in out


def test_list_says_why_something_is_missing(cli, tmp_path):
    """A plug-in whose library is missing is listed with the remedy."""
    _, out, err = cli("list", "--plugin", str(FAULTY))
    line = next(line for line in out.splitlines() if line.startswith("missing-library"))
    assert "needs no-such-distribution" in line
    assert "missing-library: pip install no-such-distribution" in err


@pytest.mark.parametrize(
    ("arguments", "telling"),
    [
        (["run", "quikc"], "no suite is called 'quikc'; did you mean quick?"),
        (["run", *SMALL[:2], "-a", "hnswlb"], "did you mean hnswlib"),
        (["run", "-d", "digits-64-euclidian", "-a", "brute_force"], "did you mean digits-64-euclidean"),
        (
            ["run", "-d", "digits", "-a", "brute_force", "--dry-run"],
            "called 'digits'; did you mean digits-64-euclidean?",
        ),
        (["run", *SMALL[:2], "-a", "brute_force,HNSW"], "called 'HNSW'; did you mean hnsw?"),
        (["run", "missing.yml"], "missing.yml: there is no such file"),
        (["run", *SMALL, "--memory", "lots"], "'lots' is not a size"),
        (["run", *SMALL, "--timeout", "soon"], "'soon' is not a duration"),
        (["run", *SMALL, "--build-threads", "4096"], "4096"),
        (["run", *SMALL, "--k", "4000"], "k = 4000"),
        (["run", *SMALL, "--plugin", "nowhere"], "no config.yml there"),
        (["report"], "there are no results"),
        (["export"], "there are no results"),
        (["results", "show", "*"], "matches *"),
        (["results", "merge", "nowhere"], "nowhere: no such folder"),
        (["results", "merge", "."], ".: holds no result to merge"),
        (["prepare", "missing.npy", "--metric", "euclidean"], "missing.npy"),
        (["check", "brute-force"], "did you mean brute_force"),
        (["check", "brute_force", "--metric", "manhattan"], "no metric is called 'manhattan'"),
    ],
)
def test_mistakes_end_in_one_line(cli, arguments, telling):
    """A user's mistake gives a line that names the value and the way out, and status 2; never a traceback."""
    status, _, err = cli(*arguments)
    assert status == 2
    assert telling in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.startswith("annbench:")]) == 1


SCANTY = ["-d", "digits-64-euclidean", "--plugin", str(FAULTY), "--queries", "10", "--passes", "1", "--group", "quick"]


def test_nothing_of_what_was_named_is_no_success(cli):
    """Who names an algorithm and gets nothing of it reads why, and the way out, in one line."""
    status, _, err = cli("run", *SCANTY, "-a", "missing-library", "-a", "raises-in-fit")
    lines = [line for line in err.splitlines() if line.startswith("annbench run: nothing measured")]
    assert status == 1
    assert lines[0].endswith("of missing-library: no-such-distribution not installed; pip install no-such-distribution")
    assert "of raises-in-fit: failed (fit raised RuntimeError" in lines[1]
    assert lines[1].endswith("see: annbench results show '*/raises-in-fit*/*'")
    assert len(lines) == 2
    assert cli("results", "show", "*/raises-in-fit*/*")[0] == 0
    status, _, err = cli("run", *SCANTY, "-a", "raises-in-fit")
    assert status == 1
    assert "nothing measured of raises-in-fit: it failed before; --force tries again" in err
    status, _, err = cli("run", *SCANTY, "-a", "exact", "--build", "M=oops")
    assert status == 2
    assert "no build parameter of exact is called 'M'" in err
    status, _, err = cli("run", *SCANTY, "-a", "ann-benchmarks")
    assert status == 1
    assert "bring theirs with --ann-benchmarks PATH" in err
    for _ in range(2):  # the second time all is done before
        status, out, err = cli("run", *SCANTY, "-a", "exact")
        assert status == 0
        assert "nothing measured" not in err
        assert "the fastest measured setting of each algorithm that reaches a recall@10" in out
        assert [line.split()[:2] for line in out.splitlines()[2:5]] == [[at, "exact"] for at in ("0.9", "0.95", "0.99")]
    assert "takes less than a minute" not in err  # there is nothing left to do


def test_a_suite_of_which_something_came_is_a_success(cli, tmp_path):
    """Algorithms of a suite that aren't installed or fail spoil nothing; that nothing came of any is told."""
    for name, algorithms in (("some", "[exact, missing-library, raises-in-fit]"), ("none", "[missing-library]")):
        suite = f"{name}: {{datasets: [digits-64-euclidean], algorithms: {algorithms}}}"
        (tmp_path / f"{name}.yml").write_text(suite, encoding="utf-8")
    assert cli("run", "some.yml", *SCANTY)[0] == 0
    status, _, err = cli("run", "none.yml", *SCANTY)
    assert status == 1
    assert "annbench run: nothing measured: each algorithm was left out or failed" in err


def test_dry_run_measures_nothing(cli, tmp_path):
    """--dry-run says what would be measured, and gets no data."""
    assert "annbench prepare digits-64-euclidean" in cli("run", *SMALL, "--dry-run")[2]
    cli("prepare", "digits-64-euclidean")
    status, _, err = cli("run", *SMALL, "--dry-run")
    assert status == 0
    assert "brute_force" in err
    assert not (tmp_path / "results").exists()


@pytest.mark.several_cores
def test_run_report_export_remove(cli, measured, monkeypatch):
    """The main road: run, run again, list, report, export, remove."""
    monkeypatch.setenv("ANNBENCH_HOME", str(measured))
    _, _, err = cli("run", *SMALL, "-a", "sklearn-kd-tree")
    assert "0 settings measured, 3 done before" in " ".join(err.split())
    _, out, _ = cli("results", "list")
    assert re.search(r"^1\.0000 .* digits-64-euclidean/10/brute_force/\S+\.hdf5$", out, re.MULTILINE)
    _, out, _ = cli("results", "show", "*brute_force*")
    assert json.loads(out.split("\n", 1)[1])["spec"]["algorithm"] == "brute_force"
    status, out, _ = cli("report")
    assert status == 0
    for line in out.splitlines():
        assert Path(line).stat().st_size > 0
    assert Path(out.splitlines()[0]).name == "report.html"
    _, few, _ = cli("report", "--no-pictures")
    assert set(few.splitlines()) == {line for line in out.splitlines() if not line.endswith((".png", ".svg"))}
    _, out, _ = cli("export")
    rows = list(csv.DictReader(out.splitlines()))
    assert {row["algorithm"] for row in rows} == {"null", "brute_force", "sklearn-kd-tree"}
    dataset = rows[0]["dataset"]
    assert cli("export", "--dataset", dataset)[1].splitlines() == out.splitlines()
    status, _, err = cli("export", "--dataset", dataset[:-1])
    assert status != 0
    assert f"did you mean {dataset}" in " ".join(err.split())
    cli("export", str(measured / "t.parquet"))
    assert len(pd.read_parquet(measured / "t.parquet")) == 3
    cli("export", str(measured / "t.json"), "--format", "json")
    assert len(json.loads((measured / "t.json").read_text())) == 3


@pytest.mark.several_cores
def test_merge_and_remove(cli, measured, tmp_path):
    """Results of another folder are copied once, and removed by pattern."""
    assert "3 copied" in cli("results", "merge", str(measured / "results"))[1]
    assert "0 copied, 3 were here already" in cli("results", "merge", str(measured / "results"))[1]
    assert "removed 1" in cli("results", "rm", "*sklearn*", "--yes")[1]
    assert "sklearn" not in cli("results", "list")[1]


def test_check(cli):
    """`check` tells who keeps the contract and who doesn't, and in what."""
    assert cli("check", "brute_force", "--metric", "hamming")[0] == 0
    status, out, _ = cli("check", "duplicate-ids", "--plugin", str(FAULTY))
    assert status == 1
    assert "twice" in out


def test_interrupt_keeps_what_was_measured(tmp_path):
    """Ctrl-C ends with a word on how to go on, status 130, results kept and no process left."""
    environment = {**os.environ, "ANNBENCH_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "harness.cli.main", "run", *SMALL[:4], "--passes", "60", "--group", "quick"]
    run = subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever starts the tests in the background makes them, and so this process, deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs here
    )
    end = time.monotonic() + 60
    while not list(tmp_path.rglob("results/*/*/*/*.hdf5")):
        assert time.monotonic() < end
        assert run.poll() is None
        time.sleep(0.05)
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "goes on from here" in err
    assert "Traceback" not in err
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert list(tmp_path.rglob("results/*/*/*/*.hdf5"))


def test_sizes_and_durations():
    """Sizes and durations are read as people write them."""
    assert [parse_bytes(t) for t in ("8G", "500m", "1.5GiB", "1024", None)] == [
        8 << 30,
        500 << 20,
        3 << 29,
        1024,
        None,
    ]
    assert [parse_seconds(t) for t in ("90", "90s", "15m", "2h", None)] == [90, 90, 900, 7200, None]
    for text in ("0", "-1", "G", "1 G B"):
        with pytest.raises(ConfigError):
            parse_bytes(text)


@pytest.mark.slow
def test_a_wheel_works_without_the_checkout(tmp_path):
    """Installed from a wheel, in a folder of its own, algorithms and catalogue are found and results stay there."""
    root = Path(__file__).parents[2]
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(root)]
    subprocess.run(wheel, check=True)
    (built,) = tmp_path.glob("annbench-*.whl")
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(target), str(built)],
        check=True,
    )
    work = tmp_path / "work"
    work.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(target)}
    environment.pop("ANNBENCH_HOME", None)

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "harness.cli.main", *arguments],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import harness, algorithms; print(harness.__file__, algorithms.__file__)"
    places = subprocess.run(
        [sys.executable, "-P", "-c", where], cwd=work, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert all(place.startswith(str(target)) for place in places)
    assert "hnswlib" in run("list")
    assert "glove-100-angular" in run("list", "datasets")
    run("run", *SMALL, "-a", "hnswlib")
    run("report")
    assert (work / "results").is_dir()
    assert (work / "plots" / "index.md").exists()
    assert (work / "datasets" / "digits-64-euclidean.hdf5").exists()
