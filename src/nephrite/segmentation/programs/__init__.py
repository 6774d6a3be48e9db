"""Programs of the user's as segmenters: folders that they read and write, and how they are started and ended."""
