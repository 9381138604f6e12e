"""Faults done to the project on purpose, and a table of what they cost: `make faults`."""
