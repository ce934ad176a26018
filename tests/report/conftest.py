"""A browser, and a page for it to open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.report.derived import derive
from harness.report.html.page import Content, write_page
from support import factory
from support.browser import browsing, missing


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a browser for all tests of a file."""
    why = missing()
    if why:
        pytest.skip(why)
    with browsing() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a small benchmark, with a batch, a floor, a failure, and embeddings' joint rows."""
    folder = tmp_path_factory.mktemp("page")
    results = factory.make_world(("brute_force", "hnsw", "hnswlib", "lsh"), settings=5, floor=60_000.0)
    results += factory.make_world(("hnsw", "pq"), settings=4, dataset="glove-100-angular", floor=None)
    results.append(factory.make_result("hnsw", {"M": 8}, {"ef": 9}, mode="batch", threads=2, recall=0.97, qps=9000))
    store = factory.write_store(folder / "results", results, [factory.make_failure(detail="2 h")])
    joint = [factory.make_joint_row(), factory.make_joint_row(dataset="other", qps=99.0, search={"ef": 99})]
    return write_page(Content(*derive(store), joint=joint), folder)
