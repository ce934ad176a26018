"""Anisotropic vector quantisation, from scratch."""

from algorithms.anisotropic_vq.index import AnisotropicVQ

__all__ = ["AnisotropicVQ"]
