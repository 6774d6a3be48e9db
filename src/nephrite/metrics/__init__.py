"""Scores of a segmentation against the truth: arrays in, numbers out. No torch."""
