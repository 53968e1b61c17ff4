"""Ways to adapt a model: one folder a method, its settings in `__init__` and what is trained in `adapter`.

Read `base`, `adapter`, then `prefix_tuning`.
"""
