"""Exact search."""

from algorithms.brute_force.index import BruteForce

__all__ = ["BruteForce"]
