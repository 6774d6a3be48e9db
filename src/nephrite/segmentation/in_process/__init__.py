"""Segmenters that are networks on slices, trained in this process: the family, its kinds, and how they are fitted."""
