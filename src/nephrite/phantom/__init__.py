"""The embedded abdomen: anatomy, skeleton and kidneys with tumors, painted into volumes in the layout of KiTS19."""
