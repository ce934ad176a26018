"""Download a file whole: with progress, resumed where a connection was cut, renamed only when complete and checked.

Until then it is `NAME.part`, beside a note `NAME.part.json` of the server's ETag and date: a file that has changed on
the server is begun anew, never glued to the old beginning.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import BufferedRandom
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from harness.core.atomic import write_text
from harness.core.errors import AnnbenchError, SourceError
from harness.core.lock import held_alone
from harness.core.version import __version__
from harness.data.sources.console import console_for, say, transfer_bar

USER_AGENT = f"Mozilla/5.0 (compatible; annbench/{__version__})"  # some publishers' firewalls want the first word
_CHUNK = 1 << 18
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Downloaded:
    """A file that arrived: where it is, where it comes from, its size in bytes and its SHA-256."""

    path: Path
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class _Remote:
    """What the server said about the file of which the `.part` is the beginning."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What `If-Range` may hold: a strong ETag, else the date; without either, a file can't be resumed."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def same_file(self, other: _Remote) -> bool:
        """Tell whether nothing that both know differs."""
        pairs = ((self.etag, other.etag), (self.last_modified, other.last_modified), (self.total, other.total))
        return all(a == b for a, b in pairs if a is not None and b is not None)


class _CutError(Exception):
    """The connection failed in a way that another attempt may mend."""


def download(
    url: str,
    path: Path,
    *,
    check: Callable[[Path], None] | None = None,
    console: Console | None = None,
    progress: bool = True,
    timeout: float = 30.0,
    attempts: int = 4,
    pause: float = 1.0,
) -> Downloaded:
    """Download `url` to `path`, whole or not at all.

    `check` gets the complete file before it takes its final name, and raises an AnnbenchError to refuse it. `timeout`
    (seconds) bounds the connection and each wait for data; after `attempts` failures in a row that brought nothing new,
    `pause`, 2 `pause`, ... seconds apart, SourceError says in one line why. What arrived is kept for the next call.
    """
    console = console_for(console, progress=progress)
    part = path.with_name(f"{path.name}.part")
    with _opened(part) as stream:
        job = _Job(url, part, stream, timeout, _remembered(part, url))
        try:
            with transfer_bar(console, path.name, shown=progress) as advance:
                _persist(job, advance, console, attempts, pause)
            stream.flush()
            os.fsync(stream.fileno())
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
            note = _write_note(part, url, size, digest)
        except BaseException:
            job.leave()
            raise
        _accept(part, note, check)
        note.replace(path.with_name(f".{path.name}.sha256.json"))
        part.replace(path)
        _state(part).unlink(missing_ok=True)
    return Downloaded(path, url, size, digest)


def _accept(part: Path, note: Path, check: Callable[[Path], None] | None) -> None:
    """Let `check` look at the complete file; remove it where it is refused, so that the next call begins anew."""
    try:
        if check is not None:
            check(part)
    except AnnbenchError:
        for leftover in (part, _state(part), note):
            leftover.unlink(missing_ok=True)
        raise


def _write_note(part: Path, url: str, size: int, digest: str) -> Path:
    """Note the hash where `harness.data.dataset` looks for it, so that a large file is hashed once."""
    note = part.with_name(f".{part.name}.sha256.json")
    seen = {"size": size, "mtime_ns": part.stat().st_mtime_ns, "sha256": digest, "url": url}
    write_text(note, json.dumps(seen))
    return note


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[BufferedRandom]:
    """Open the partial file for this process alone."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        # The lock is a file of its own, since HDF5 wants to lock the partial file when that is checked.
        lock = part.with_name(f".{part.name}.lock")
        with (
            held_alone(lock, f"{part} is being downloaded", SourceError),
            os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as stream,
        ):
            yield stream
    except OSError as refused:
        raise SourceError(f"{part} could not be written ({refused.strerror or refused})") from None


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remembered(part: Path, url: str) -> _Remote:
    try:
        remote = _Remote(**json.loads(_state(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return _Remote(url)
    return remote if remote.url == url else _Remote(url)


def _persist(
    job: _Job, advance: Callable[[int, int | None], None], console: Console, attempts: int, pause: float
) -> None:
    """Try until the file is complete; only failures that brought nothing new count."""
    farthest, failures = job.size(), 0
    while True:
        try:
            job.attempt(advance)
        except _CutError as cut:
            failures = 1 if job.size() > farthest else failures + 1
            farthest = max(farthest, job.size())
            if failures >= attempts:
                raise SourceError(f"{job.url}: {cut}; gave up after {attempts} attempts") from None
            say(console, f"{job.url}: {cut}; trying again")
            time.sleep(pause * 2 ** (failures - 1))
        else:
            return


class _Job:
    """One file on its way: the stream into which it goes, and what is known of its origin."""

    def __init__(self, url: str, part: Path, stream: BufferedRandom, timeout: float, remote: _Remote) -> None:
        self.url, self.part, self.stream, self.timeout, self.remote = url, part, stream, timeout, remote
        self.answered = False

    def size(self) -> int:
        return self.stream.seek(0, os.SEEK_END)

    def leave(self) -> None:
        """Remove a partial file that no later call could resume; another mirror's is kept while this one is silent."""
        if self.size() == 0 or (self.answered and self.remote.validator is None):
            self.part.unlink(missing_ok=True)
            _state(self.part).unlink(missing_ok=True)

    def attempt(self, advance: Callable[[int, int | None], None]) -> None:
        """Ask for what is missing and append it; raise _CutError where another attempt may help."""
        have = self.size() if self.remote.validator is not None else 0
        if have and have == self.remote.total:
            return  # complete, but the process ended before the rename
        with self._response(have) as response:
            start, total = self._reconcile(response, have)
            self._room_for(total, start)
            for chunk in _chunks(response):
                self.stream.write(chunk)
                start += len(chunk)
                advance(start, total)
        if total is not None and start < total:
            raise _CutError(f"the connection ended after {start:,} of {total:,} bytes")

    def _restart(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()

    def _response(self, have: int) -> http.client.HTTPResponse:
        if not self.url.startswith(("https://", "http://")):
            raise SourceError(f"{self.url}: only http and https are downloaded")
        request = urllib.request.Request(self.url, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})  # noqa: S310 - the scheme is checked above
        if have and self.remote.validator is not None:  # without the former, all of the file is wanted
            request.add_header("Range", f"bytes={have}-")
            request.add_header("If-Range", self.remote.validator)
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=self.timeout)  # noqa: S310 - the same
        except urllib.error.HTTPError as answer:
            answer.close()
            if answer.code == 416 and have:
                self._restart()
                raise _CutError("the server doesn't have the rest of the file, so it has changed") from None
            said = f"the server answers {answer.code} {answer.reason}"
            raise (_CutError(said) if answer.code in _TRY_AGAIN else SourceError(f"{self.url}: {said}")) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as problem:
            why = problem.reason if isinstance(problem, urllib.error.URLError) else problem
            # A host that can't be reached at all is down: the next mirror is a better use of the user's time.
            if have or isinstance(why, (ConnectionResetError, http.client.HTTPException)):
                raise _CutError(_reason(why)) from None
            raise SourceError(f"{self.url}: {_reason(why)}") from None
        return response

    def _reconcile(self, response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
        """Find where the answer's first byte belongs, and place the stream there; return (start, total)."""
        headers = response.headers
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        length = headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        start = 0
        if resumed:
            span, _, whole = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            first = span.split("-")[0]
            start = int(first) if first.isdigit() else -1
            total = int(whole) if whole.isdigit() else None
        elif response.status != http.HTTPStatus.OK:
            raise SourceError(f"{self.url}: the server answers {response.status} {response.reason}")
        found = _Remote(self.url, headers.get("ETag"), headers.get("Last-Modified"), total)
        if resumed and (start != have or not self.remote.same_file(found)):
            self._restart()
            raise _CutError("the file has changed on the server since its first part came")
        if start == 0:
            self._restart()
        self.remote, self.answered = found, True
        write_text(_state(self.part), json.dumps(asdict(found)))
        self.stream.seek(start)
        return start, total

    def _room_for(self, total: int | None, start: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - start > free:
            needed = f"needs {decimal(total - start)}, {self.part.parent} has {decimal(free)} free"
            raise SourceError(f"{self.url}: {needed}")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (http.client.HTTPException, OSError) as cut:
            raise _CutError(f"the connection failed ({_reason(cut)})") from None
        if not chunk:
            return
        yield chunk


def _reason(problem: BaseException | str) -> str:
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    if isinstance(problem, socket.gaierror):
        return "the host name can't be resolved"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror.lower()
    return str(problem) or type(problem).__name__
