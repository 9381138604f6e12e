"""Launching on TPU pods, and proving beforehand that a program fits them."""
