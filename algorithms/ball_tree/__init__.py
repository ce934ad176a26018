"""A ball tree from scratch."""

from algorithms.ball_tree.index import BallTree

__all__ = ["BallTree"]
