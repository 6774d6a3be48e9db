"""Scores in, words out: paired statistics, comparisons, data equivalence, power and promotion. No torch."""
