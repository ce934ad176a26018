"""Rows as codes: quantisers, codebooks and k-means, the scans that sum look-ups, and reranking by the rows."""
