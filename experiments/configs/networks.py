"""The networks of the paper, layer by layer, as they stand in a config (method, section 1)."""

from typing import Any

Network = dict[str, Any]


def make_image_networks() -> tuple[Network, Network]:
    """Returns the paper's encoder and style decoder for 64x64 images: twelve layers each."""
    sizes = {"kernel_sizes": (3, 3, 4) * 4, "strides": (1, 1, 2) * 4, "dense": (256, 256)}
    widths = (32,) * 3 + (64,) * 3 + (128,) * 3 + (256,) * 3
    return (
        {"name": "conv", "widths": widths, **sizes},
        {"name": "style", "widths": widths[::-1], **sizes},
    )


def make_small_image_networks(
    widths: tuple[int, ...] = (64, 128, 256, 512), **patch: int
) -> tuple[Network, Network]:
    """Returns the paper's small encoder and style decoder: a layer a halving of the image.

    Args:
        widths: of the encoder's layers; the decoder's are these backwards.
        **patch: the height and width of the patches that the layers take for pixels, if any.
    """
    sizes = {
        "kernel_sizes": (4,) * len(widths),
        "strides": (2,) * len(widths),
        "dense": (256,),
        **patch,
    }
    return (
        {"name": "conv", "widths": widths, **sizes},
        {"name": "style", "widths": widths[::-1], **sizes},
    )


def make_residual_networks() -> tuple[Network, Network]:
    """Returns Tripod's encoder and decoder for 64x64 images (arXiv 2404.10282)."""
    return (
        {"name": "residual", "widths": (32, 64, 128, 256, 512), "dense": (512,)},
        {"name": "residual", "widths": (512, 256, 128, 64), "dense": (256, 256)},
    )


def make_bottleneck_networks() -> tuple[Network, Network]:
    """Returns FactorQVAE's encoder and decoder for 64x64 images (arXiv 2409.14851)."""
    shared = {"name": "bottleneck", "deviation": 0.02}
    return (
        {**shared, "widths": (128, 256, 512), "dense": (128, 128)},
        {**shared, "widths": (512, 256, 128), "channels": 64},
    )


def make_dense_networks() -> tuple[Network, Network]:
    """Returns the paper's encoder and decoder without convolutions."""
    return {"name": "dense", "dense": (2048,) * 4}, {"name": "dense", "dense": (2048,) * 4}
