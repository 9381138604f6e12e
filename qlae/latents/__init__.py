"""What stands between encoder and decoder: continuous, scalar- and vector-quantized latents."""
