"""Which kernels the libraries of results ran, as a text for each result, and where results differ in them."""

from __future__ import annotations

from collections.abc import Iterable

from harness.core.library_kernels import in_words
from harness.store.result import Result


def kernels_of(result: Result) -> str:
    """Write what each library ran: `faiss openblas: Barcelona; numpy openblas: SkylakeX`; empty where nobody says.

    Variables that were set for this algorithm alone are named with the library: what it ran was chosen.
    """
    own = result.spec.get("environment")
    by = f" ({in_words(own)})" if own else ""
    every: dict[str, set[str]] = {}
    for kernel in (one for process in result.document.processes for one in process.kernels):
        library, runs = kernel.get("library", ""), kernel.get("runs", "")
        name = runs if runs.startswith(library) else f"{library} {runs}"
        every.setdefault(f"{name}{by}", set()).add(kernel.get("architecture", ""))
    return "; ".join(f"{name}: {' and '.join(sorted(ran))}" for name, ran in sorted(every.items()))


def unlike_kernels(texts: Iterable[str]) -> list[str]:
    """Say of each library which kernels it ran, where that differs between results, each as `kernels_of` gives it."""
    ran: dict[str, set[str]] = {}
    for part in {part for text in texts for part in text.split("; ") if part}:
        library, _, name = part.partition(": ")
        ran.setdefault(library, set()).add(name)
    return [f"{library} ran {' and '.join(sorted(names))}" for library, names in sorted(ran.items()) if len(names) > 1]
