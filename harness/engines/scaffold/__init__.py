"""`annbench new-plugin`: a plug-in that works, to be made one's own."""
