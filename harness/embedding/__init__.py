"""Embeddings: towers, losses, training and evaluation; the only part of the harness that imports torch."""
