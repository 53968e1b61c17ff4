"""Evaluation: log-likelihoods of continuations, and generated answers."""
