"""Ways to adapt a model: one file a method. Read `base`, then `prefix_tuning`."""
