"""Hierarchical navigable small worlds."""

from algorithms.hnsw.index import HNSW

__all__ = ["HNSW"]
