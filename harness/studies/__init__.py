"""Small experiments that explain: each is measured, tabulated and plotted by `annbench study`."""
