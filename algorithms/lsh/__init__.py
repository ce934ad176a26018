"""Locality-sensitive hashing."""

from algorithms.lsh.index import LSH

__all__ = ["LSH"]
