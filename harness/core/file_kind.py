"""Tell what a file is by its first bytes, where that isn't what its name says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PICKLE = 'a Python pickle, which runs code when it is read: save the array by numpy.save("x.npy", array)'
_BEGINNINGS: Mapping[tuple[bytes, ...], str] = {
    (b"version https://git-lfs.github.com/spec/",): "a Git LFS pointer, not the file itself: get that by git lfs pull",
    (b"<!doctype html", b"<html"): "a web page, not the file itself: fetch it again, perhaps after a log-in",
    (b"<?xml",): "an XML document, perhaps a server's error, not the file itself: fetch it again",
    (b"\x89HDF",): "an HDF5 file: name it .hdf5",
    (b"\x93NUMPY",): "a NumPy array: name it .npy",
    (b"PAR1",): "a Parquet file: name it .parquet",
    (b"PK\x03\x04",): "a zip archive: name it .npz if NumPy wrote it, else unpack it first",
    (b"\x1f\x8b",): "compressed by gzip: unpack it first (gunzip)",
    (b"\x28\xb5\x2f\xfd",): "compressed by zstd: unpack it first (zstd -d)",
    (b"BZh",): "compressed by bzip2: unpack it first (bunzip2)",
    (b"\xfd7zXZ",): "compressed by xz: unpack it first (unxz)",
    tuple(bytes((0x80, protocol)) for protocol in (2, 3, 4, 5)): PICKLE,
}
_OWN = {
    ".hdf5": b"\x89HDF",
    ".h5": b"\x89HDF",
    ".part": b"\x89HDF",
    ".npy": b"\x93NUMPY",
    ".parquet": b"PAR1",
    ".npz": b"PK\x03\x04",
}


def stands_in(path: Path) -> str:
    """Say what lies in the place of vectors, and the way out; empty where nothing tells.

    Flat binary files may begin with any bytes, so ask this only of a file that was found to be broken.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError:
        return ""
    if not head:
        return "empty: fetch it again"
    own = _OWN.get(path.suffix.lower())
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginnings, what in _BEGINNINGS.items():
        if text.startswith(beginnings) or (own not in beginnings and head.startswith(beginnings)):
            return what
    return ""
