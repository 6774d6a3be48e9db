"""Generators: what they are shown, how they are trained, and what is asked of them."""
