"""Synthetic data that other programs made: whose they are, whom they show, and how they enter the store."""
