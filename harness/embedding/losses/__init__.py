"""Losses as pure functions of embeddings: they own no model, and a learnable temperature is handed in as a tensor.

All compute in float32 or wider and return a scalar. `registry.LOSSES` says by name which fields of a `batch.Batch` each
one needs; `matryoshka.matryoshka` turns any of them into one over prefixes.
"""
