"""What knows nothing of vectors: errors, files, folders, cores, and how verbs print."""
