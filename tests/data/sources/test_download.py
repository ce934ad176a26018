"""Downloads against a real local server: whole, cut, resumed, refused."""

from __future__ import annotations

import hashlib
import json
import socket

import pytest

from harness.core.errors import DatasetError, SourceError
from harness.data.dataset import read_dataset
from harness.data.sources.content import Content, write_content
from harness.data.sources.download import USER_AGENT, download
from harness.data.sources.synthetic import generate, parse

CONTENT = bytes(range(256)) * 4000


def fetch(site, tmp_path, **options):
    return download(site.url, tmp_path / "file.hdf5", progress=False, pause=0.01, timeout=5, **options)


def leftovers(tmp_path):
    return sorted(p.name for p in tmp_path.iterdir())


def test_whole_file(site, tmp_path):
    """A download arrives byte for byte, with its hash noted and nothing else left."""
    site.content = CONTENT
    done = fetch(site, tmp_path)
    assert done.path.read_bytes() == CONTENT
    assert (done.size, done.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert leftovers(tmp_path) == [".file.hdf5.sha256.json", "file.hdf5"]
    assert json.loads((tmp_path / ".file.hdf5.sha256.json").read_text())["url"] == site.url
    assert site.requests[0]["User-Agent"] == USER_AGENT


@pytest.mark.parametrize("date", [None, "Sat, 01 Jan 2022 00:00:00 GMT"])
def test_resumes_after_a_cut(site, tmp_path, date):
    """Cut connections are taken up where they broke, by ETag or by date, within one call."""
    site.content, site.cuts = CONTENT, [100_000, 300_000, 0, 0, 200_000]
    if date:
        site.etag, site.last_modified = None, date
    assert fetch(site, tmp_path).path.read_bytes() == CONTENT
    assert [r.get("Range") for r in site.requests] == [
        None,
        "bytes=100000-",
        "bytes=400000-",
        "bytes=400000-",
        "bytes=400000-",
        "bytes=600000-",
    ]


def test_resumes_in_a_later_call(site, tmp_path):
    """What arrived before giving up is the start of the next call."""
    site.content, site.cuts = CONTENT, [500_000] + [0] * 3
    with pytest.raises(SourceError, match="500,000 of 1,024,000 bytes; gave up after 2 attempts"):
        fetch(site, tmp_path, attempts=2)
    assert leftovers(tmp_path) == ["file.hdf5.part", "file.hdf5.part.json"]
    site.cuts.clear()
    assert fetch(site, tmp_path).path.read_bytes() == CONTENT
    assert site.requests[-1]["Range"] == "bytes=500000-"


def test_another_mirror_that_is_down_spoils_nothing(site, tmp_path):
    """A partial file survives a second mirror that doesn't answer; one that does starts from the beginning."""
    site.content, site.cuts = CONTENT, [500_000]
    with pytest.raises(SourceError):
        fetch(site, tmp_path, attempts=1)
    with pytest.raises(SourceError, match="refused"):
        download("http://127.0.0.1:1/file.hdf5", tmp_path / "file.hdf5", progress=False)
    assert fetch(site, tmp_path).path.read_bytes() == CONTENT
    assert site.requests[-1]["Range"] == "bytes=500000-"
    site.content, site.cuts = b"B" * 900, [500]
    with pytest.raises(SourceError):
        fetch(site, tmp_path, attempts=1)
    site.url += "?mirror"
    assert fetch(site, tmp_path).path.read_bytes() == b"B" * 900
    assert "Range" not in site.requests[-1]


@pytest.mark.parametrize("heeds", [True, False])
def test_changed_file_is_not_glued(site, tmp_path, heeds):
    """A file that changed on the server is begun anew, even where the server ignores If-Range."""
    site.content, site.cuts, site.heeds_if_range = b"A" * 1000, [600, 0], heeds
    with pytest.raises(SourceError):
        fetch(site, tmp_path, attempts=1)
    site.content, site.etag, site.cuts = b"B" * 1000, '"two"', []
    assert fetch(site, tmp_path).path.read_bytes() == b"B" * 1000


def test_shrunk_file_is_begun_anew(site, tmp_path):
    """A server that no longer has the rest of a file (416) gets asked for all of it."""
    site.content, site.cuts, site.heeds_if_range = b"A" * 1000, [600], False
    with pytest.raises(SourceError):
        fetch(site, tmp_path, attempts=1)
    site.content = b"B" * 100
    assert fetch(site, tmp_path).path.read_bytes() == b"B" * 100


def test_no_range_support(site, tmp_path):
    """A server without ranges sends the file again, and the pieces aren't glued."""
    site.content, site.cuts, site.ranges = CONTENT, [700_000], False
    assert fetch(site, tmp_path).path.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_nothing_to_resume_by(site, tmp_path, etag):
    """Without a strong ETag or a date no range is asked for, and no partial file is kept."""
    site.content, site.cuts, site.etag = CONTENT, [700_000, 10, 10], etag
    with pytest.raises(SourceError, match="the connection ended after"):
        fetch(site, tmp_path, attempts=2)
    assert leftovers(tmp_path) == []
    site.cuts.clear()
    assert fetch(site, tmp_path).path.read_bytes() == CONTENT
    assert all("Range" not in r for r in site.requests)


def test_shorter_than_promised(site, tmp_path):
    """Content that is shorter than its Content-Length never gets the final name."""
    site.content, site.missing = CONTENT, 5
    with pytest.raises(SourceError, match="1,024,000 of 1,024,005"):
        fetch(site, tmp_path)
    assert not (tmp_path / "file.hdf5").exists()
    assert 3 <= len(site.requests) <= 6


def test_without_length(site, tmp_path):
    """An answer without Content-Length is taken as it is."""
    site.content, site.length = CONTENT, False
    assert fetch(site, tmp_path).size == len(CONTENT)


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 2)])
def test_refusals(site, tmp_path, status, requests):
    """A missing file is reported at once, an overloaded server after another try; nothing is left behind."""
    site.status = status
    with pytest.raises(SourceError, match=f"the server answers {status}") as caught:
        fetch(site, tmp_path, attempts=2)
    assert "\n" not in str(caught.value)
    assert len(site.requests) == requests
    assert leftovers(tmp_path) == []


def test_connection_refused(tmp_path):
    """A port where nobody listens is one line, without tries in vain."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{busy.getsockname()[1]}/x"
        with pytest.raises(SourceError, match=r"127\.0\.0\.1:\d+/x: connection refused"):
            download(url, tmp_path / "x", progress=False, pause=100)
    assert leftovers(tmp_path) == []


def test_silent_server_times_out(tmp_path):
    """A server that accepts and says nothing is given up after the time-out."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(SourceError, match="no answer in time"):
            download(url, tmp_path / "x", progress=False, timeout=0.2)


def test_other_schemes_are_refused(tmp_path):
    """A URL of the local disk isn't downloaded."""
    with pytest.raises(SourceError, match="only http and https"):
        download("file:///etc/hostname", tmp_path / "x", progress=False)


def test_refused_content_is_removed(site, tmp_path):
    """A complete file that the check refuses is removed, so that the next call begins anew."""

    def check(path):
        raise DatasetError(f"{path.name} is nonsense")

    site.content = CONTENT
    with pytest.raises(DatasetError, match="nonsense"):
        fetch(site, tmp_path, check=check)
    assert leftovers(tmp_path) == []


def test_complete_part_needs_no_request(site, tmp_path):
    """A file that was complete when the process ended is checked and renamed without a request."""
    site.content = CONTENT

    def interrupt(_path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(site, tmp_path, check=interrupt)
    fetch(site, tmp_path)
    assert len(site.requests) == 1
    assert (tmp_path / "file.hdf5").read_bytes() == CONTENT


def test_two_at_once(site, tmp_path):
    """A second download of the same file is refused while the first one runs."""
    site.content = CONTENT
    seen = []

    def check(_path):
        with pytest.raises(SourceError, match="by another process"):
            fetch(site, tmp_path)
        seen.append(True)

    fetch(site, tmp_path, check=check)
    assert seen == [True]
    assert (tmp_path / "file.hdf5").read_bytes() == CONTENT


def test_says_what_it_retries(site, tmp_path, console):
    """Each new attempt is one line on the console that was passed."""
    site.content, site.cuts = CONTENT, [1000]
    fetch(site, tmp_path, console=console)
    assert console.file.getvalue().count("trying again") == 1


def test_progress_bar(site, tmp_path, console):
    """The progress bar works on a console that is no terminal."""
    site.content = CONTENT
    download(site.url, tmp_path / "file.hdf5", console=console)
    assert (tmp_path / "file.hdf5").read_bytes() == CONTENT


def test_unwritable_folder(site, tmp_path):
    """A folder that can't be made is one line."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(SourceError, match="could not be written"):
        download(site.url, tmp_path / "taken" / "x", progress=False)


def test_hash_is_not_computed_twice(site, tmp_path, monkeypatch):
    """The dataset reader finds the hash that the download noted, for a file that has none of its own."""
    content = generate(parse("synthetic-uniform-200-4-euclidean"))
    write_content(tmp_path / "whole.hdf5", content, depth=5, progress=False)
    import h5py

    with h5py.File(tmp_path / "whole.hdf5", "a") as file:
        del file.attrs["sha256"]
    site.content = (tmp_path / "whole.hdf5").read_bytes()
    done = fetch(site, tmp_path)

    def fail(*_args):
        raise AssertionError

    monkeypatch.setattr(hashlib, "file_digest", fail)
    assert read_dataset(done.path).sha256 == done.sha256
    assert isinstance(content, Content)
