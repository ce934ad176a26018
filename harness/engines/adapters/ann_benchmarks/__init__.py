"""Plug-ins of ann-benchmarks, run as they are."""
