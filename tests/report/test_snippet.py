"""The lines that the page gives for an application: they run, and find what the harness's own search finds."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.metric import normalise
from harness.engines.contract import as_neighbors
from harness.engines.registry import Registry, load_registry, plugin_entries
from harness.report.html.commands import literal
from harness.report.snippet import application, fill, literals, template

REGISTRY = load_registry()
INSTALLED = [name for name in REGISTRY if REGISTRY[name].config.purpose == "index" and not REGISTRY[name].missing()]
LINED = [name for name in INSTALLED if REGISTRY[name].config.snippet]
QUICK = [name for name in LINED if name != "pynndescent"]  # it compiles for a minute
CONTRACT = "brute_force"
METRICS = ("euclidean", "angular")
N, DIM, K = 600, 16, 10

# Build and search parameters for small data, as a result would hold them.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hnswlib": ({"M": 8, "ef_construction": 60}, {"ef": 40}),
    "faiss-ivf-flat": ({"n_lists": 16}, {"nprobe": 6}),
    "faiss-ivf-sq8": ({"n_lists": 16}, {"nprobe": 6}),
    "faiss-ivf-pq-fs": ({"n_lists": 16, "n_subspaces": 8}, {"nprobe": 8, "k_factor": 6}),
    "faiss-hnsw": ({"M": 8, "ef_construction": 60}, {"ef": 40}),
    "faiss-lsh": ({"n_bits": 128}, {"k_factor": 10}),
    "faiss-lsh-codes": ({"n_bits": 256}, {}),
    "scann": ({"num_leaves": 24}, {"leaves_to_search": 8, "reorder": 60}),
    "annoy": ({"n_trees": 10}, {"search_k": 400}),
    "usearch": ({"connectivity": 8}, {"expansion_search": 40}),
    "voyager": ({"M": 8}, {"ef": 40}),
}

# One child runs them all: each in a namespace of its own, where its ids are taken.
_RUN = """
import json, sys
import numpy as np
from dataclasses import replace
from pathlib import Path
for name, lines in json.loads(Path("lines.json").read_text()).items():
    space = {}
    exec(compile(lines, name, "exec"), space)
    rows = [np.asarray(row).tolist() for row in space["ids"]]
    Path(f"{name}.json").write_text(json.dumps(rows))
"""


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((count, DIM)).astype(np.float32) for count in (N, 40))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the lines of the libraries, and those of the contract; return the folder of their ids."""
    return ran([*QUICK, CONTRACT], tmp_path_factory.mktemp("snippets"))


def ran(names: list[str], folder: Path) -> Path:
    for name, rows in zip(("vectors", "queries"), data(), strict=True):
        np.save(folder / f"{name}.npy", rows)
    lines = {
        f"{name}-{metric}": application(REGISTRY, name, metric, K, *SETTINGS.get(name, ({}, {})))
        for name in names
        for metric in METRICS
    }
    (folder / "lines.json").write_text(json.dumps(lines))
    done = subprocess.run([sys.executable, "-c", _RUN], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def shares(metric: str, ids: Any) -> float:
    vectors, queries = data()
    if metric == "angular":
        vectors, queries = normalise(vectors), normalise(queries)
    distances = ((queries[:, None] - vectors[None]) ** 2).sum(axis=2)
    true = np.argsort(distances, axis=1)[:, :K]
    return float(
        np.mean([len(set(row) & set(mine)) / K for row, mine in zip(true.tolist(), ids.tolist(), strict=True)])
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", [*QUICK, CONTRACT])
def test_the_lines_run_and_find_what_the_harness_finds(found: Path, name: str, metric: str) -> None:
    """Of each installed algorithm they give ids whose recall is that of the plug-in with the same parameters."""
    check(name, metric, found)


@pytest.mark.slow
@pytest.mark.skipif("pynndescent" not in LINED, reason="pynndescent is not installed")
def test_the_lines_of_a_library_that_compiles(tmp_path: Path) -> None:
    """Those of pynndescent run, too."""
    check("pynndescent", "euclidean", ran(["pynndescent"], tmp_path))


def check(name: str, metric: str, folder: Path) -> None:
    vectors, queries = data()
    ids = as_neighbors(json.loads((folder / f"{name}-{metric}.json").read_text()), len(queries), K, N)
    build, search = SETTINGS.get(name, ({}, {}))
    index = REGISTRY[name].load()(metric, **build)
    index.fit(vectors)
    own = as_neighbors(index.searcher(**search)(queries, K), len(queries), K, N)
    assert shares(metric, ids) == pytest.approx(shares(metric, own), abs=0.08)
    assert shares(metric, ids) > 0.5


@pytest.mark.parametrize("name", INSTALLED)
def test_every_algorithm_has_lines(name: str) -> None:
    """Each metric of each algorithm gives lines that are Python, whatever its parameters."""
    for metric in REGISTRY[name].config.metrics:
        lines = application(REGISTRY, name, metric, K, {}, {})
        compile(lines, name, "exec")
        assert "${" not in lines
        assert "#@" not in lines


def test_lines_name_every_parameter_of_the_library() -> None:
    """A template has a place for each parameter of its wrapper, with the wrapper's own default."""
    for name in QUICK:
        algorithm = REGISTRY[name].load()
        wanted = {**inspect.signature(algorithm).parameters, **inspect.signature(algorithm.searcher).parameters}
        for parameter in wanted.values():
            if parameter.name in ("metric", "self", "threads"):
                continue
            assert f"${{{parameter.name}={literal(parameter.default)}}}".replace("'", '"') in REGISTRY[
                name
            ].config.snippet.replace("'", '"'), (name, parameter.name)


def test_the_lines_of_a_plugin_load_it_from_its_path() -> None:
    """A plug-in that was given by hand is loaded from its folder; a config of another name is given itself."""
    folder = Path(__file__).parents[1] / "plugins" / "contest"
    (entry, *_) = plugin_entries(folder)
    lines = application(Registry([entry]), entry.name, "euclidean", K, {}, {"share": 0.5})
    assert f"load_registry([Path({str(folder)!r})])[{entry.name!r}]" in lines
    assert "from pathlib import Path" in lines
    compile(lines, "lines", "exec")
    other = replace(entry, file=folder / "other.yml")
    assert str(folder / "other.yml") in application(Registry([other]), entry.name, "euclidean", K, {}, {})


def test_no_value_becomes_code() -> None:
    """Names and values that hold places, quotes or line breaks stay literals, for an absent plug-in, too."""
    evil = "x'${search}\"\n__import__('os').abort()#"
    lines = application(REGISTRY, evil, "euclidean", 5, {evil: evil, "M": evil}, {"k": evil})
    assert repr(evil) in lines
    assert "FOLDER/OF/THE/PLUG-IN" in lines
    assert "\n__import__" not in lines
    compile(lines, "evil", "exec")
    text = template(REGISTRY["hnswlib"], "euclidean")
    assert repr(evil) in fill(text, {**literals({"M": evil}), "k": "10"})
