"""The pair store: slices and label maps of every patient on disk, the split, and which patients hold which class."""
