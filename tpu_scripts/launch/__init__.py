"""Machines made for a run, watched, and always deleted."""
