"""Finding algorithms by name: what their config may say, and what is said where it is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core.errors import ConfigError, PluginError, UnknownNameError
from harness.data.metric import Metric
from harness.engines import registry
from harness.engines.registry import Entry, Registry, load_registry, plugin_entries, read_config

ROOT = Path(__file__).resolve().parents[2]

CLASS = """
from harness.engines.contract import Algorithm

class Mine(Algorithm):
    def __init__(self, metric, **params): self.answer = {answer}
    def fit(self, train, *, threads=1): pass
    def searcher(self, *, threads=1, **params): return lambda queries, k: [[0]] * len(queries)

class NotOne: pass
"""


def _config(**changed: Any) -> dict[str, Any]:
    content = {
        "constructor": "my_index:Mine",
        "origin": "library",
        "metrics": ["euclidean", "cosine"],
        "groups": {"quick": {"build": {"M": [8]}, "search": {"ef": [10, 20]}}},
        **changed,
    }
    return {key: value for key, value in content.items() if value is not None}


def _plugin(parent: Path, name: str = "my_index", answer: int = 1, **changed: Any) -> Path:
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(CLASS.format(answer=answer))
    config = _config(**{"constructor": f"{name}:Mine", **changed})
    (folder / "config.yml").write_text(yaml.safe_dump({name.replace("_", "-"): config}))
    return folder


def _run(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("changed", "key", "value"),
    [
        ({"constructor": "my_index.Mine"}, "constructor", "'my_index.Mine'"),
        ({"constructor": None}, "constructor", "is missing"),
        ({"origin": "homemade"}, "origin", "'homemade'"),
        ({"metrics": ["euclidian"]}, "metrics.0", "did you mean euclidean? (given: 'euclidian')"),
        ({"metrics": []}, "metrics", "should hold 1 or more, not 0"),
        ({"metrics": "euclidean"}, "metrics", "'euclidean'"),
        ({"ordred": True}, "ordred", "given: True"),
        ({"ordered": "perhaps"}, "ordered", "'perhaps'"),
        ({"requires": "numpy"}, "requires", "'numpy'"),
        ({"groups": None}, "groups", "is missing"),
        ({"groups": {"fast": {}}}, "groups.fast", "'fast'"),
        ({"groups": {"quick": {"builds": {}}}}, "groups.quick.0.builds", "given: {}"),
        ({"groups": {"quick": {"metrics": ["l3"]}}}, "groups.quick.0.metrics.0", "given: 'l3'"),
        ({"groups": {"quick": 7}}, "groups.quick.0", "given: 7"),
    ],
)
def test_a_wrong_config_names_file_key_and_value(tmp_path: Path, changed: Any, key: str, value: str) -> None:
    """Each mistake in a config is one line with the file, the algorithm, the key and the value that was given."""
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump({"mine": _config(**changed)}))
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: mine: {key}")
    assert value in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "table of algorithm names"),
        ("- a\n- b\n", "table of algorithm names"),
        ("a: [1\nb: 2", "can't be read as YAML"),
        ("a: !!python/object:os.system {}\n", "can't be read as YAML"),
        ("a: {x: 1}\nb: {}\na: {}\n", "'a' stands twice"),
        ("a:\n  groups:\n    quick: {build: {M: [1], M: [2]}}\n", "'M' stands twice"),
        ("a: 5\n", "given: 5"),
        ("a: null\n", "given: None"),
        ("../a: {}\n", "can't be an algorithm's name"),
        (".a: {}\n", "can't be an algorithm's name"),
        ("'': {}\n", "can't be an algorithm's name"),
    ],
)
def test_what_is_no_config_is_refused_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    """Broken YAML, repeated keys, unsafe tags and names that are no file names are ConfigErrors that name the file."""
    path = tmp_path / "config.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A config that isn't UTF-8, and a folder in its place, are ConfigErrors."""
    path = tmp_path / "config.yml"
    path.write_bytes(b"\xff\xfe\x00")
    for wrong in (path, tmp_path):
        with pytest.raises(ConfigError, match="can't be read"):
            read_config(wrong)


def test_a_config_is_read_as_it_is_meant(tmp_path: Path) -> None:
    """Metric aliases are resolved, a single grid is a list of one, and YAML anchors work."""
    path = tmp_path / "config.yml"
    path.write_text(
        "base: &base {constructor: 'a:A', origin: library, metrics: [l2, COSINE],\n"
        "  groups: {quick: {build: {M: [4]}, metrics: [dot]}, full: [{}, {}]}}\n"
        "other: {<<: *base, ordered: false}\n"
    )
    base, other = read_config(path)
    assert base.config.metrics == (Metric.EUCLIDEAN, Metric.ANGULAR)
    assert base.config.groups["quick"][0].metrics == (Metric.IP,)
    assert [len(grids) for grids in base.config.groups.values()] == [1, 2]
    assert (other.name, other.config.ordered, other.config.constructor) == ("other", False, "a:A")


def test_names_are_found_suggested_and_never_shared(tmp_path: Path) -> None:
    """An unknown name suggests the nearest, and two algorithms of one name are an error that shows both folders."""
    entries = plugin_entries(_plugin(tmp_path / "a"))
    registry = Registry(entries)
    assert list(registry) == ["my-index"]
    assert len(registry) == 1
    assert "other" not in registry
    assert registry.get("other") is None
    assert registry.get("my-index") is entries[0]
    with pytest.raises(UnknownNameError, match="no algorithm is called 'my_indx'; did you mean my-index"):
        registry["my_indx"]
    twin = plugin_entries(_plugin(tmp_path / "b"))
    with pytest.raises(ConfigError, match=r"two algorithms are called 'my-index': .*/a/my_index and .*/b/my_index"):
        Registry([*entries, *twin])


def test_a_missing_distribution_reads_as_not_installed(tmp_path: Path) -> None:
    """What a plug-in requires and isn't there is named with the remedy, and loading says so in one line."""
    folder = _plugin(tmp_path, requires=["numpy", "no-such-thing-1", "no-such-thing-2"])
    (entry,) = plugin_entries(folder)
    assert entry.missing() == ["no-such-thing-1", "no-such-thing-2"]
    assert entry.versions()["no-such-thing-1"] == "missing"
    assert entry.versions()["numpy"][0].isdigit()
    why = "no-such-thing-1, no-such-thing-2 not installed; pip install no-such-thing-1 no-such-thing-2"
    assert entry.why_not() == why
    with pytest.raises(PluginError, match=why):
        entry.load()
    config = folder / "config.yml"
    config.write_text(config.read_text().replace("my-index:", "my-index:\n  extra: engines"))
    assert plugin_entries(config)[0].why_not().endswith("; pip install 'annbench[engines]'")


def test_a_plugin_given_by_path_loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder given by hand, or its config file, joins the registry and its class is imported."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = _plugin(tmp_path, "my_pathed_index", answer=42)
    for given in (folder, folder / "config.yml"):
        entry = load_registry([given])["my-pathed-index"]
        assert entry.load()(Metric.EUCLIDEAN).answer == 42  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"no config\.yml there; see CONTRIBUTING"):
        load_registry([tmp_path])


@pytest.mark.parametrize(
    ("constructor", "source", "complaint"),
    [
        ("mod_a:NotOne", CLASS.format(answer=0), "not a subclass of harness.engines.contract.Algorithm"),
        ("mod_b:Nothing", CLASS.format(answer=0), "mod_b has no Nothing"),
        ("mod_c:Mine", "import no_such_module_at_all\n", "importing mod_c failed: ModuleNotFoundError"),
        ("mod_d:Mine", "raise RuntimeError('two\\nlines')\n", "importing mod_d failed: RuntimeError"),
        ("mod_e:Mine", "def (\n", "importing mod_e failed: SyntaxError"),
        ("mod_z.sub:Mine", "", "importing mod_z.sub failed"),
    ],
)
def test_a_plugin_that_does_not_load_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, constructor: str, source: str, complaint: str
) -> None:
    """A class that is missing or no Algorithm, and an import that fails, are PluginErrors in one line."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = constructor.split(":", maxsplit=1)[0].split(".", maxsplit=1)[0]
    folder = _plugin(tmp_path, name, constructor=constructor)
    (folder / "__init__.py").write_text(source)
    (entry,) = plugin_entries(folder)
    with pytest.raises(PluginError) as caught:
        entry.load()
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_of_the_same_name_does_not_take_a_plugins_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two versions of a plug-in in folders of the same name are not mixed up: the second is refused."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (old,) = plugin_entries(_plugin(tmp_path / "old", "my_versioned_index", answer=1))
    (new,) = plugin_entries(_plugin(tmp_path / "new", "my_versioned_index", answer=2))
    assert old.load()(Metric.IP).answer == 1  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match=r"belongs to .*old.* already; rename the plug-in's folder"):
        new.load()


def _hash(folder: Path, **config: Any) -> str:
    (entry,) = plugin_entries(folder)
    changed = entry.config.model_copy(update=config)
    return Entry(entry.name, changed, folder, entry.file).source_hash()


def test_the_source_hash_follows_the_source(tmp_path: Path) -> None:
    """One changed byte, a moved or new file change the hash; touching, compiling and READMEs don't."""
    folder = _plugin(tmp_path)
    (folder / "sub").mkdir()
    (folder / "sub" / "a.py").write_text("x = 1\n")
    first = _hash(folder)
    assert len(first) == 16
    os.utime(folder / "__init__.py", (1, 1))
    (folder / "README.md").write_text("more")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert _hash(folder) == first
    assert _hash(_plugin(tmp_path / "elsewhere")) != first
    seen = {first}
    (folder / "sub" / "a.py").write_text("x = 2\n")
    seen.add(_hash(folder))
    (folder / "sub" / "a.py").rename(folder / "a.py")
    seen.add(_hash(folder))
    (folder / "b.py").write_text("")
    seen.add(_hash(folder))
    seen.add(_hash(folder, constructor="my_index:Other"))
    assert len(seen) == 5


def test_the_hash_of_a_from_scratch_index_covers_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Editing a shared kernel in any room makes from-scratch results stale, but not those of a wrapped library."""
    monkeypatch.setattr(registry, "_builtin_folder", lambda: tmp_path)
    folder, kernel = _plugin(tmp_path), tmp_path / "kernels" / "simd" / "distance.py"
    kernel.parent.mkdir(parents=True)
    hashes = []
    for text in ("a = 1\n", "a = 2\n"):
        kernel.write_text(text)
        hashes.append((_hash(folder, origin="from-scratch"), _hash(folder)))
    assert hashes[0][0] != hashes[1][0]
    assert hashes[0][1] == hashes[1][1]


def test_the_hash_does_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    """The same plug-in in another place, as after an install, has the same hash."""
    assert _hash(_plugin(tmp_path / "one")) == _hash(_plugin(tmp_path / "two"))


def test_the_registry_imports_nothing_heavy(tmp_path: Path) -> None:
    """Listing the algorithms, a plug-in by path among them, imports no library and no plug-in."""
    folder = _plugin(tmp_path, "my_unloaded_index")
    loaded = _run(
        "import sys\nfrom pathlib import Path\nfrom harness.engines.registry import load_registry\n"
        "names = list(load_registry([Path(sys.argv[1])]))\nassert 'my-unloaded-index' in names\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
        "print(*[name for name in sys.modules if name.startswith('algorithms.')])",
        str(folder),
    ).splitlines()
    heavy = {"matplotlib", "torch", "numba", "pandas", "h5py", "faiss", "scipy", "sklearn", "hnswlib", "annoy", "scann"}
    assert not heavy & set(loaded[0].split())
    assert "my_unloaded_index" not in loaded[0].split()
    assert loaded[1] == ""


def test_an_installed_package_registers_itself(tmp_path: Path) -> None:
    """The entry point of an installed distribution adds its algorithms; one that names nothing is a ConfigError."""
    _plugin(tmp_path, "my_installed_index")
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    code = (
        "from harness.engines.registry import load_registry\nfrom harness.core.errors import ConfigError\n"
        "try:\n    print(load_registry()['my-installed-index'].load().__name__)\nexcept ConfigError as e:\n    print(e)"
    )
    for target, expected in (
        ("my_installed_index", "Mine\n"),
        ("my_installed_index:Mine", "Mine\n"),
        ("no_such.module", "entry point 'x' of annbench.algorithms names 'no_such.module', which can't be found\n"),
    ):
        (info / "entry_points.txt").write_text(f"[annbench.algorithms]\nx = {target}\n")
        assert _run(code, PYTHONPATH=str(tmp_path)) == expected


def test_every_built_in_config_is_valid() -> None:
    """The configs of `algorithms` and of `algorithms/libraries` load, and each group that is named has a grid."""
    registry = load_registry()
    assert {"hnsw", "null", "hnswlib", "faiss-hnsw", "annoy"} <= set(registry)
    for entry in registry.values():
        assert entry.config.metrics
        assert all(entry.config.groups.values())
