"""The interactive report: one file of HTML that opens from disk, offline."""
