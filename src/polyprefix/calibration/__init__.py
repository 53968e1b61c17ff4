"""Calibrated probabilities of labels: priors that are divided out, a temperature, and how well confidences agree with accuracy.

Everything works on log-likelihoods that were kept; nothing asks a model.
"""
