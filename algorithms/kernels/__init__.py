"""Kernels that the from-scratch algorithms share: plain Python compiled by numba."""
