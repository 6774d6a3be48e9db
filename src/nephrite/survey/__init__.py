"""What a folder of scans shows of itself, and the settings that follow from it."""
