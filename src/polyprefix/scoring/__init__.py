"""Metrics with their uncertainty, and normalisation of answers. Tasks use it, so nothing here imports torch."""
