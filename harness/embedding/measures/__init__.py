"""How good embeddings are: pure functions from arrays to figures, one module a kind of task; no model and no torch."""
