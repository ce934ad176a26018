"""The version of annbench, which every file that it writes carries."""

__version__ = "0.2.0"
