"""What goes wrong around a trial, tried on purpose and counted: `make test-faults`, all of it with WHOLE=1.

Each part yields outcomes; `python -m tests.faults` prints how many of them were as they should be.
"""
