"""Product quantisation, from scratch."""

from algorithms.pq.index import PQ

__all__ = ["PQ"]
