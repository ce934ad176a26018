"""Inverted lists of coded vectors: built, grown, packed and searched. `pq` and `anisotropic_vq` are made of them."""
