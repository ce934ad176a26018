"""Dual encoders trained contrastively: recipes, examples, negatives, and one loop."""
