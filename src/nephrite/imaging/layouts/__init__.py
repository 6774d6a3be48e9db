"""Layouts of other programs: which files of a folder are a scan and its label map, and what their labels are called."""
