"""A trained segmenter on scans that no trial knows: the model, its label maps, and what is told of them."""
