"""Network blocks, encoders and decoders."""
