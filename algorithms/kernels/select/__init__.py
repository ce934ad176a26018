"""The k smallest of many: sorted arrays, a heap, and selection by counting."""
