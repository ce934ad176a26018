"""Trees of boxes or balls: built, and searched best bin first. `kd_tree` and `ball_tree` are made of them."""
