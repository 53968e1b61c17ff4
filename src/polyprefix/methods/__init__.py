"""Ways to adapt a model: one file a method. Read `base`, `prefix_tuning`, `adapted`."""
