"""Towers: what turns texts or images into vectors, each a torch module."""
