"""Best-first search: the sorted pool of candidates, and which rows were visited."""
