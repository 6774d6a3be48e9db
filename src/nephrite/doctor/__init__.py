"""Whether this machine, its packages and the servers about it are fit for a trial."""
