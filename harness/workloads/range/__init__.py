"""Range search: all rows within a radius of each query, in a frozen index."""

from harness.workloads.range.workload import Range

__all__ = ["Range"]
