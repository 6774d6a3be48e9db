"""Segmenters that are networks on volumes, trained in this process on patches."""
