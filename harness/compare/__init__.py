"""Two sides against each other: measured in turns, or taken from stores and baseline files; and a verdict."""
