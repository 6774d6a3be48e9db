"""From scores to a verdict: paired statistics, comparisons, data equivalence, power and promotion. No torch."""
