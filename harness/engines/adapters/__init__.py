"""Engines that were written for another contract."""
