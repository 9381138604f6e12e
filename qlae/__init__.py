"""Latent-quantized autoencoders and GANs: networks, latents, objectives, training."""
