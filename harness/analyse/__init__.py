"""Results in, numbers out: measures, intervals, frontiers and the tidy table. Pure functions; nothing here writes."""
