"""Vectors, metrics and datasets: what is searched, and what the right answers are."""
