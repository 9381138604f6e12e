"""Metrics of disentanglement: pure functions of (sources, latents)."""
