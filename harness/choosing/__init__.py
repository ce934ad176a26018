"""Choose an index for a dataset, a recall and a time: scout every engine, refine the best, measure those in turns."""
