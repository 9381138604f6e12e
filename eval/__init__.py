"""Scores and pictures of a run, made from its directory alone."""
