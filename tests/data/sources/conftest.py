"""What the tests of sources share: a local HTTP server that can misbehave, and small files of vectors."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console


@dataclass
class Site:
    """One file on a local server, and how the server behaves."""

    content: bytes = b""
    etag: str | None = '"one"'
    last_modified: str | None = None
    ranges: bool = True
    heeds_if_range: bool = True
    status: int = 200
    cuts: list[int] = field(default_factory=list)  # bytes after which the first, second, ... answer ends
    missing: int = 0  # bytes that Content-Length promises, but nothing sends
    length: bool = True
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def log_message(self, *_args: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = dict(self.headers.items())
            site.requests.append(asked)
            if site.status != 200:
                self.send_error(site.status)
                return
            start = self._start(asked)
            if start > len(site.content):
                self.send_error(416)
                return
            body = site.content[start:]
            partial = "Range" in asked and start > 0
            self.send_response(206 if partial else 200)
            if partial:
                whole = len(site.content) + site.missing
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            if site.length:
                self.send_header("Content-Length", str(len(body) + site.missing))
            for name, value in (("ETag", site.etag), ("Last-Modified", site.last_modified)):
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)
            self.close_connection = True

        def _start(self, asked: dict[str, str]) -> int:
            match = re.fullmatch(r"bytes=(\d+)-", asked.get("Range", ""))
            if match is None or not site.ranges:
                return 0
            if site.heeds_if_range and asked.get("If-Range") not in (site.etag, site.last_modified):
                return 0
            return int(match[1])

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    """A server on 127.0.0.1 for one file; tests set what it holds and how it behaves."""
    site = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(site)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}/file.hdf5"
        yield site
        server.shutdown()
        thread.join(10)


@pytest.fixture
def console() -> Console:
    """A console whose text `console.file.getvalue()` returns."""
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def rows() -> np.ndarray:
    """Sixty rows of five numbers, none of them zero."""
    return np.random.default_rng(3).standard_normal((60, 5)).astype(np.float32)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """A function that writes bytes to a file of the given name and returns its path."""

    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write
