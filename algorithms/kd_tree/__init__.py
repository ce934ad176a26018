"""A kd-tree from scratch."""

from algorithms.kd_tree.index import KDTree

__all__ = ["KDTree"]
