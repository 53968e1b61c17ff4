"""Training: the loop, the optimiser, checkpoints, and activations that are kept."""
