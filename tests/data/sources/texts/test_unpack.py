"""Unpacking what others made, some of it malicious."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import SourceError
from harness.data.sources.texts import unpack as module
from harness.data.sources.texts.unpack import lift_only_folder, unpack

FILES = {"set/corpus.jsonl": b"{}\n" * 1000, "set/qrels/test.tsv": b"a\tb\t1\n", "set/empty": b""}


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def plain(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def found(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder, two levels below the test's own."""
    place = tmp_path / "outer" / "inner"
    place.mkdir(parents=True)
    return place


def test_zip_and_tar_are_unpacked(tmp_path, folder):
    """Both kinds of archive yield their files, and a folder alone at the top is lifted away."""
    unpack(make_zip(tmp_path / "a.zip", FILES), folder)
    assert found(folder) == FILES
    lift_only_folder(folder)
    assert found(folder) == {name.removeprefix("set/"): content for name, content in FILES.items()}
    for mode in ("w", "w:gz", "w:xz"):
        other = folder / mode.replace(":", "")
        other.mkdir()
        unpack(make_tar(tmp_path / f"{mode[2:]}.tar", [(plain(n), c) for n, c in FILES.items()], mode), other)
        assert found(other) == FILES


def test_a_folder_within_a_folder_of_its_name_is_lifted_once(folder):
    """Only the outermost goes, whatever the inner one is called; a folder with company stays."""
    (folder / "set" / "set").mkdir(parents=True)
    (folder / "set" / "set" / "x").touch()
    (folder / "set" / "y").touch()
    lift_only_folder(folder)
    assert set(found(folder)) == {"set/x", "y"}
    lift_only_folder(folder)
    assert set(found(folder)) == {"set/x", "y"}


OUTSIDE = ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "a/..", "c:evil"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_file_is_written_outside(tmp_path, folder, name):
    """Names that lead out are refused in both kinds of archive, and nothing is written."""
    for archive in (
        make_tar(tmp_path / "evil.tar", [(plain(name), b"evil")], "w"),
        make_zip(tmp_path / "evil.zip", {name: b"evil"}),
    ):
        with pytest.raises(SourceError, match="outside of its folder"):
            unpack(archive, folder)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and "evil." not in p.name]


@given(name=st.text("ab./\\:~", min_size=1, max_size=8))
def test_whatever_the_name_files_stay_inside(tmp_path_factory, name):
    """Any name is either refused or becomes a file below the folder."""
    outer = tmp_path_factory.mktemp("names")
    inner = outer / "inner"
    inner.mkdir()
    archive = make_tar(outer / "a.tar", [(plain(name), b"x")], "w")
    try:
        unpack(archive, inner)
    except SourceError:
        assert not found(inner)
    assert [p for p in outer.rglob("*") if p.is_file() and inner not in p.parents] == [archive]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, folder, kind):
    """A link that a later file could be written through is refused, and so are pipes and devices."""
    archive = make_tar(tmp_path / "a.tar", [(plain("d", kind, "/etc"), b""), (plain("d/passwd"), b"evil")], "w")
    with pytest.raises(SourceError, match="'d' is a link or a device"):
        unpack(archive, folder)
    assert not list(folder.iterdir())


def test_links_in_a_zip_are_refused(tmp_path, folder):
    """A zip has links, too, by the mode in its attributes."""
    info = zipfile.ZipInfo("d")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(SourceError, match="is a link or a device"):
        unpack(tmp_path / "a.zip", folder)


def test_a_bomb_is_stopped(tmp_path, folder):
    """More bytes than agreed are never written, however few the archive has and whatever it states."""
    for archive in (
        make_zip(tmp_path / "a.zip", {"a": bytes(3_000_000), "b": bytes(3_000_000)}),
        make_tar(tmp_path / "a.tgz", [(plain("c"), bytes(3_000_000)), (plain("d"), bytes(3_000_000))]),
    ):
        with pytest.raises(SourceError, match="more than 4,000,000 bytes"):
            unpack(archive, folder, most_bytes=4_000_000)
    assert sum(map(len, found(folder).values())) <= 2 * 4_000_000
    for path in folder.iterdir():
        path.unlink()
    unpack(tmp_path / "a.zip", folder, most_bytes=6_000_000)


def test_a_name_that_comes_twice_is_refused(tmp_path, folder):
    """The second of two files of one name would hide the first."""
    archive = make_tar(tmp_path / "a.tar", [(plain("a"), b"1"), (plain("./a"), b"2")], "w")
    with pytest.raises(SourceError, match="'a' comes twice"):
        unpack(archive, folder)


def test_too_many_files_are_refused(tmp_path, folder, monkeypatch):
    """Empty files cost no bytes, so their number is bounded, too; folders don't count."""
    monkeypatch.setattr(module, "MOST_FILES", 3)
    members = [(plain("d", tarfile.DIRTYPE), b""), *((plain(f"d/{i}"), b"") for i in range(3))]
    unpack(make_tar(tmp_path / "three.tar", members), folder)
    members = [(plain(f"e/{i}"), b"") for i in range(4)]
    with pytest.raises(SourceError, match="more than 3 files"):
        unpack(make_tar(tmp_path / "four.tar", members), folder)


def test_a_password_is_one_line(tmp_path, folder):
    """A zip with a password can't be unpacked, and says so."""
    archive = make_zip(tmp_path / "a.zip", {"a": b"x"})
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # the flag of encryption, in the file's own header and in the directory
    content[content.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(SourceError, match="password"):
        unpack(archive, folder)


def test_broken_archives_are_one_line(tmp_path, folder):
    """Cut short, altered, empty or something else: one line, no traceback."""
    whole = make_tar(tmp_path / "a.tgz", [(plain("a"), bytes(range(256)) * 400)]).read_bytes()
    packed = make_zip(tmp_path / "a.zip", {"a": bytes(range(256)) * 400}).read_bytes()
    altered = packed[:60] + b"\xff\xff\xff" + packed[63:]
    for number, content in enumerate([whole[: len(whole) // 2], packed[: len(packed) // 2], altered, b"", b"<html>"]):
        place = folder / str(number)
        place.mkdir()
        (tmp_path / "broken").write_bytes(content)
        with pytest.raises(SourceError, match="can't be unpacked") as caught:
            unpack(tmp_path / "broken", place)
        assert "\n" not in str(caught.value)
