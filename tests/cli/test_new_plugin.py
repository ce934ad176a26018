"""`annbench new-plugin`: what it writes works as it is, and names that would not work are refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.api import load_results
from harness.data.metric import Metric, neighbour_distances
from harness.engines.registry import load_registry, plugin_entries
from harness.engines.scaffold.write import write_plugin


def _run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "ANNBENCH_HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_written_conforms(annbench: Any, tmp_path: Path) -> None:
    """The command that is proposed next finds no breach, and pytest none either."""
    status, out, _ = annbench("new-plugin", "my.index-2")
    assert (status, out) == (0, "wrote my_index_2; next: annbench check my.index-2 --plugin my_index_2\n")
    out = _run("harness.cli.main", "check", "my.index-2", "--plugin", "my_index_2", folder=tmp_path)
    kept = "my.index-2 under {}: keeps the contract"
    assert out.splitlines() == [kept.format(metric) for metric in ("euclidean", "angular", "ip")]
    out = _run("pytest", "-q", "-p", "no:cacheprovider", "--annbench", "my_index_2", folder=tmp_path)
    assert re.search(r"\b\d+ passed", out)
    assert "failed" not in out


@pytest.mark.slow
def test_what_is_written_can_be_measured(tmp_path: Path) -> None:
    """It is measured beside brute force; the more vectors it looks at the higher its recall, and all of them give 1."""
    write_plugin("mine", tmp_path / "mine")
    _run(
        "harness.cli.main", "run", "-d", "digits-64-euclidean", "-a", "mine", "-a", "brute_force", "--plugin", "mine",
        "--group", "quick", "--queries", "50", "--passes", "1", folder=tmp_path,
    )  # fmt: skip
    table = load_results(tmp_path / "results")
    mine = table[table["algorithm"] == "mine"].sort_values("recall")
    assert [label.count("share") for label in mine["label"]] == [1, 1, 1, 1]
    assert mine["recall"].is_unique
    assert mine["recall"].iloc[-1] == 1.0
    assert set(table["algorithm"]) >= {"mine", "brute_force"}


@pytest.mark.parametrize("metric", ["euclidean", "angular", "ip"])
def test_the_skeleton_is_exact(tmp_path: Path, metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers are as near as the true neighbours, whatever the size of a block, and where vectors are few."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (entry,) = plugin_entries(write_plugin(f"exact-{metric}", tmp_path / f"exact_{metric}"))
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((7, 5)).astype(np.float32)
    for n, k, block in ((40, 6, 3), (4, 9, 32), (1, 1, 1)):
        train = rng.standard_normal((n, 5)).astype(np.float32)
        index = entry.load()(Metric(metric), block=block)
        index.fit(train)
        ids = np.asarray(index.searcher()(queries, k))
        every = neighbour_distances(Metric(metric), queries, train, np.tile(np.arange(n), (7, 1)))
        found = np.take_along_axis(every, ids, axis=1)
        np.testing.assert_allclose(found, np.sort(every, axis=1)[:, :k], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["algorithm", "none", "metric", "yes", "a+b", "x-my_index", "json.x", "nan1"])
def test_names_that_mean_something(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that YAML, TOML, Python or the skeleton itself could take for something else still give a plug-in."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / f"{re.sub('[^a-z]', '_', name)}_package"
    write_plugin(name, folder)
    registry = load_registry([folder])
    registry[name].load()(Metric.EUCLIDEAN, block=2)
    # Installed and given by hand, it is one plug-in and not two.
    assert load_registry([folder, folder / "config.yml"])[name].folder == folder


@pytest.mark.parametrize(
    ("arguments", "telling"),
    [
        (["hnsw"], "an algorithm called 'hnsw' already"),
        (["class"], "'class' is a word of Python"),
        (["match"], "'match' is a word of Python"),
        (["json"], "'json' is a module of Python's standard library"),
        (["numpy"], "'numpy' is the name of an installed package"),
        (["harness"], "'harness' is the name of an installed package"),
        (["a b"], "can't be an algorithm's name"),
        (["--", "-x"], "can't be an algorithm's name"),
        (["../x"], "can't be an algorithm's name"),
        (["3d"], "'3d' can't be a package"),
        (["mine-"], "'mine_' can't be a package"),
        (["mine", "--folder", "a-b"], "'a-b' can't be a package"),
        (["mine", "--folder", "there"], "exists already"),
        (["mine", "--folder", "file/mine"], "could not be written"),
    ],
    ids=" ".join,
)
def test_names_and_folders_that_are_refused(annbench: Any, tmp_path: Path, arguments: list[str], telling: str) -> None:
    """What can't be used is refused in one line that says why, and nothing is written."""
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("")
    status, _, err = annbench("new-plugin", *arguments)
    assert status == 2
    assert telling in err
    assert len(err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "there"]


def test_the_example_in_contributing_conforms(annbench: Any, tmp_path: Path) -> None:
    """The plug-in that CONTRIBUTING shows keeps the contract, as it stands there."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folder = tmp_path / "my_index"
    folder.mkdir()
    for file in ("__init__.py", "config.yml"):
        (block,) = re.findall(rf"```\w+\n# my_index/{re.escape(file)}\n(.*?)```", text, re.DOTALL)
        (folder / file).write_text(block)
    (name,) = yaml.safe_load((folder / "config.yml").read_text())
    status, out, err = annbench("check", name, "--plugin", "my_index")
    assert (status, err) == (0, ""), out


@pytest.mark.slow
def test_what_is_written_can_be_packaged(tmp_path: Path) -> None:
    """A wheel of it, installed, announces the algorithm by its entry point, and needs no --plugin."""
    write_plugin("packaged", tmp_path / "packaged_index")
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    subprocess.run([*wheel, str(tmp_path / "packaged_index")], check=True)
    (built,) = tmp_path.glob("packaged_index-*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(site), str(built)]
    subprocess.run(install, check=True)
    search = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli.main", "check", "packaged"],
        cwd=tmp_path / "site", env={**os.environ, "PYTHONPATH": search}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.count("keeps the contract") == 3, done.stdout + done.stderr
