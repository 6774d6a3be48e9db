"""Segmenters: their networks, how they are fitted, what an arm sees, and what a trained one finds."""
