"""Programs of the user's, whatever they are for: their start and end, and the folders that they are given."""
