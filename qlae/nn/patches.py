"""Images cut into patches, each patch's pixels becoming channels, and put together again.

A map of patches holds as many numbers as the image at a fraction of the places: what a convolution
costs falls with the places (Shi et al., 2016, "sub-pixel convolution").
"""

import jax


def fold(x_BxHxWxC: jax.Array, patch: int) -> jax.Array:
    """Returns (B, H / patch, W / patch, C patch^2); channel (c, row, column) is c's pixel there."""
    size, height, width, channels = x_BxHxWxC.shape
    pixels = x_BxHxWxC.reshape(size, height // patch, patch, width // patch, patch, channels)
    return pixels.transpose(0, 1, 3, 5, 2, 4).reshape(size, height // patch, width // patch, -1)


def unfold(x_BxHxWxC: jax.Array, patch: int) -> jax.Array:
    """Returns (B, H patch, W patch, C / patch^2): `fold` undone."""
    size, height, width, channels = x_BxHxWxC.shape
    pixels = x_BxHxWxC.reshape(size, height, width, channels // patch**2, patch, patch)
    return pixels.transpose(0, 1, 4, 2, 5, 3).reshape(size, height * patch, width * patch, -1)
