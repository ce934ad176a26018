"""Wrappers of other people's libraries, one folder each."""
