"""Calibrated intervals, and how far a star is from the training set."""
