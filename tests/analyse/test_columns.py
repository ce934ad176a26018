"""Parameters and versions as columns, and rows in an order that a person would give them."""

from __future__ import annotations

import numpy as np

from harness.analyse.columns import in_order, with_columns
from harness.analyse.table import tidy
from support import factory


def test_each_parameter_has_a_column() -> None:
    """Numbers are numeric, nan where a row lacks them; words and mixtures stay what they are."""
    results = [
        factory.make_result("a", {"M": 16, "kind": "x"}, {"ef": 100}),
        factory.make_result("a", {"M": 8, "kind": None}, {"ef": 20}),
        factory.make_result("b", {}, {"probe": 0.5}),
    ]
    results[0].document.spec["versions"] = {"hnswlib": "0.8.0"}
    table = with_columns(tidy(results))
    assert table["build.M"].tolist()[:2] == [16.0, 8.0]
    assert np.isnan(table["build.M"][2])
    assert table["build.kind"].tolist() == ["x", None, None]
    assert table["search.probe"].dtype == np.float64
    assert table["version.hnswlib"].tolist() == ["0.8.0", None, None]
    assert table["build"][0] == {"M": 16, "kind": "x"}


def test_settings_sort_as_numbers() -> None:
    """A beam of 20 comes before one of 100, and numbers before words."""
    efs = [100, 20, 3, "auto"]
    table = in_order(tidy([factory.make_result("a", {"M": 16}, {"ef": ef}) for ef in efs]))
    assert [search["ef"] for search in table["search"]] == [3, 20, 100, "auto"]
    assert table.index.tolist() == [0, 1, 2, 3]


def test_a_table_without_rows_has_no_such_columns() -> None:
    """Nothing measured is no error."""
    assert with_columns(in_order(tidy([]))).empty
