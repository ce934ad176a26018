"""The k nearest neighbours of each query, in a frozen index: the workload that came first."""

from harness.workloads.knn.workload import Knn

__all__ = ["Knn"]
