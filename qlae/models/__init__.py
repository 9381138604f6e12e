"""Whole models: an autoencoder and an InfoGAN."""
