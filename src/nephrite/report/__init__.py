"""The trial as a page, as text for a terminal, and as figures."""
