"""What several sections of settings share: English, and the ends of numbers, of which each has both."""

ENGLISH = "eng_Latn"
"""The source language where nothing else is said."""
MOST_STEPS = 10_000_000
"""Of an optimiser: a year at three a second."""
MOST_EXAMPLES = 1_000_000_000
MOST_TOKENS = 1 << 31
MOST_SEED = (1 << 63) - 1
"""What torch, numpy and Python accept alike."""
