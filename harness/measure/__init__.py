"""Measuring: the parent that plans and watches, the child that builds and searches."""
