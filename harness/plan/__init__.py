"""Plans: from suites and grids to frozen specs."""
