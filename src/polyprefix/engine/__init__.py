"""What moves: training, prediction, and what they cost."""
