"""Studies: a grid of runs from one file, planned, run, interrupted, resumed and distributed over processes."""
