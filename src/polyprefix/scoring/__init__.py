"""Metrics with their uncertainty, and paired statistics between runs."""
