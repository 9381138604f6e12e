"""One self-contained page on runs: pictures, scores, curves, and latents to play with."""
