"""A reader study: readers look at real and synthetic slices, one at a time, and say which is which."""
