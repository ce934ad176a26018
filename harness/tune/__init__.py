"""Search the parameters of algorithms for the most queries per second at a recall, each within the same budget."""
