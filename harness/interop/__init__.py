"""Other benchmarks: their results brought into ours."""
