"""Random changes of a batch: draw the parameters, then apply a pure function."""
