"""A setting as an application would use it: lines of Python that build and search with that very library.

An algorithm's lines are a template: `snippet` in its config.yml, or, without one, the plug-in contract. `${name}`
stands for a value as Python writes it, of a parameter or of `k`, `metric`, `name`, `plugins` (a list of paths), `build`
and `search` (both as dicts); `${name=200}` gives the value that holds where the parameter wasn't set. A line that ends
in `#@ euclidean ip` stands under these metrics only. Names and values may come from anywhere: each place is filled
once, with a literal, so that no value can become code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.core.errors import AnnbenchError
from harness.engines.registry import CONFIG_NAME, Entry, Registry, load_registry
from harness.report.html.commands import literal

_PLACE = re.compile(r"\$\{(\w+)(?:=([^}]*))?\}")
_ONLY = re.compile(r" *#@ ([\w ]+)$")
_LIBRARY_METRICS = frozenset({"euclidean", "angular", "ip"})

_VECTORS = """\
import numpy as np
{imports}
vectors = np.load("vectors.npy").astype(np.float32)  # yours: (n, dim)
queries = np.load("queries.npy").astype(np.float32)  # (m, dim)
"""
_BITS = """\
import numpy as np
{imports}
vectors = np.load("vectors.npy")  # yours: packed bits, uint8 (n, dim / 8)
queries = np.load("queries.npy")  # (m, dim / 8)
"""
_SETS = """\
from harness.engines.contract import Sets
{imports}
vectors = Sets.of([[1, 5, 9], [2, 5]])  # yours: a list of integers for each row
queries = Sets.of([[1, 5]])
"""
_CONTRACT = """\
k = ${k}
index = load_registry({plugin})[${name}].load()(${metric}, **${build})
index.fit(vectors)
search = index.searcher(**${search})
ids = as_neighbors(search(queries, k), len(queries), k, len(vectors))  # (m, k); -1 where fewer were found
"""
_CONTRACT_IMPORTS = """\

from harness.engines.contract import as_neighbors
from harness.engines.registry import load_registry
"""


def application(registry: Registry, name: str, metric: str, k: int, build: Any, search: Any) -> str:
    """Return the lines that build an index with these parameters and search it, as the page shows them."""
    values = {**literals(build), **literals(search), **fixed(name, metric, k)}
    values |= {"build": literal(dict(build)), "search": literal(dict(search))}
    entry: Entry | None = registry.get(name)
    if entry is not None and entry.plugin is not None:
        # A folder stands for its config.yml; a config of another name is given itself.
        path = entry.plugin if entry.file.name == CONFIG_NAME else entry.file
        values["plugins"] = f"[Path({str(path)!r})]"
    return fill(template(entry, metric), values)


def template(entry: Entry | None, metric: str) -> str:
    """Return an algorithm's lines under a metric; those of the contract for an entry without any, or an unknown one."""
    if entry is not None and entry.config.snippet and metric in _LIBRARY_METRICS:
        imports, code = _split(entry.config.snippet)
        lines = [_ONLY.sub("", line) for line in code.splitlines() if _stands(line, metric)]
        return _VECTORS.replace("{imports}", imports) + "\n".join(["", *lines]) + "\n"
    head = _BITS if metric == "hamming" else _SETS if metric == "jaccard" else _VECTORS
    imports = _CONTRACT_IMPORTS
    installed = entry is not None and entry.plugin is None
    if not installed:
        imports = f"\nfrom pathlib import Path\n{imports}"
    plugin = "" if installed else '${plugins=[Path("FOLDER/OF/THE/PLUG-IN")]}'
    return head.replace("{imports}", imports) + "\n" + _CONTRACT.replace("{plugin}", plugin)


def _split(snippet: str) -> tuple[str, str]:
    """Split the imports, which stand at the top and end with an empty line, from what follows."""
    imports, _, code = snippet.strip("\n").partition("\n\n")
    return f"{imports}\n", code


def _stands(line: str, metric: str) -> bool:
    found = _ONLY.search(line)
    return found is None or metric in found[1].split()


def fill(text: str, values: Mapping[str, str]) -> str:
    """Fill each place of a template once: `applicationOf` of the page's script does the same."""
    return _PLACE.sub(lambda found: values.get(found[1], found[2] or "None"), text)


def literals(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Write each parameter's value as Python does."""
    return {str(name): literal(value) for name, value in parameters.items()}


def fixed(name: str, metric: str, k: int) -> dict[str, str]:
    """Return the values of the places that are no parameters."""
    return {"name": literal(name), "metric": literal(str(metric)), "k": str(int(k))}


def known_algorithms() -> Registry:
    """Load the registry; an empty one where it can't be: a report must not fail for a plug-in of today."""
    try:
        return load_registry()
    except AnnbenchError:
        return Registry([])
