"""The plug-ins that come with annbench: indexes from scratch, and wrappers of libraries."""
