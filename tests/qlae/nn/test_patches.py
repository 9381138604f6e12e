"""Patches for pixels: what they hold, and that networks are pictures' inverses in shape."""

import jax
import numpy as np
import pytest
from flax import nnx

from qlae.common.errors import UserError
from qlae.nn.decoders import StyleDecoder
from qlae.nn.encoders import ConvEncoder
from qlae.nn.patches import fold, unfold

SIZES = {"widths": (4,), "kernel_sizes": (4,), "strides": (2,), "dense": (8,), "dtype": "float32"}


def test_a_patch_holds_its_pixels_channel_by_channel():
    image = np.arange(2 * 6 * 9 * 2).reshape(2, 6, 9, 2)
    folded = fold(image, 3)
    assert folded.shape == (2, 2, 3, 18)
    np.testing.assert_array_equal(
        folded[1, 1, 2], image[1, 3:6, 6:9].transpose(2, 0, 1).reshape(-1)
    )
    np.testing.assert_array_equal(unfold(folded, 3), image)


def test_patches_of_one_pixel_are_the_pixels():
    image = np.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    np.testing.assert_array_equal(fold(image, 1), image)
    np.testing.assert_array_equal(unfold(image, 1), image)


def test_networks_of_patches_work_on_smaller_maps():
    shape = (16, 16, 3)
    encoder, decoder = jax.eval_shape(
        lambda: (ConvEncoder(shape, 5, patch=4, **SIZES), StyleDecoder(5, shape, patch=4, **SIZES))
    )
    assert encoder.blocks[0].conv.kernel.shape == (4, 4, 48, 4)
    assert decoder.input_map.shape == (2, 2, 4)
    assert decoder.conv.kernel.shape == (3, 3, 4, 48)
    apply = nnx.eval_shape(lambda encode, decode, x: decode(encode(x)), encoder, decoder, image())
    assert apply.shape == (3, 16, 16, 3)


def test_patches_that_do_not_fit_are_named():
    with pytest.raises(UserError, match="do not divide by 12"):
        ConvEncoder((16, 16, 3), 5, patch=6, **SIZES)


def image() -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((3, 16, 16, 3), "float32")
