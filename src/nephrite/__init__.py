"""Nephrite: does synthetic data make my segmenter better?"""

__version__ = "0.1.0"
