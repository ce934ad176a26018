"""Embeddings: models that make them, their training, and how good what they make is."""
