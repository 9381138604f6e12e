"""Strided and transposed convolution, each the other's gradient, fast on every backend.

XLA:CPU computes the kernel's gradient of a dilated convolution some 50 times slower than it needs.
Such a gradient arises in a decoder's transposed convolutions, and, by differentiating twice, in the
gradient penalty of a critic's strided ones. Here each of the two is the other's rule of
differentiation, at every order, and no kernel's gradient is ever one of a dilated convolution.

Where a backend is faster at another form of a convolution, `_convolve` chooses it.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from qlae.nn.init import declare_uniform

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(x_BxHxWxI: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """Correlates a padded input with a kernel (k, k, I, O), `stride` pixels at a time.

    Args:
        x_BxHxWxI: float input; H + 2 * padding - k and its like for W must divide by `stride`.
        kernel: (k, k, I, O), same dtype.
        stride: downsampling factor.
        padding: zeros on each side.

    Returns:
        (B, H', W', O), where H' = (H + 2 * padding - k) / stride + 1.
    """
    return _convolve(x_BxHxWxI, kernel, _correlate(stride, padding))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def transposed_conv(
    x_BxHxWxI: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> jax.Array:
    """Correlates the `stride`-dilated input with an unflipped kernel, padded by k - 1 - padding.

    For the two layers of the paper (k=3, stride 1 and k=4, stride 2, both padding 1) the output
    is `stride` times as large as the input.

    Args:
        x_BxHxWxI: float input.
        kernel: (k, k, I, O), same dtype.
        stride: upsampling factor.
        padding: of the convolution that this one transposes.

    Returns:
        (B, H', W', O), where H' = (H - 1) * stride + k - 2 * padding.
    """
    outer = kernel.shape[0] - 1 - padding
    return _convolve(x_BxHxWxI, kernel, _correlate(1, outer, dilation=stride))


def _correlate(stride: int, padding: int, dilation: int = 1) -> Callable[..., jax.Array]:
    """Returns XLA's convolution of an input and a kernel, with these sizes along H and W."""
    return functools.partial(
        lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding=[(padding, padding)] * 2,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
    )


def _convolve(x: jax.Array, kernel: jax.Array, correlate: Callable[..., jax.Array]) -> jax.Array:
    """Returns `correlate(x, kernel)`, in the form that is fastest where it will run.

    XLA:CPU has its fast kernels for a multiple of four channels alone: with a fourth, of zeros, it
    takes a third of the time for images of three. The choice is made when a program is compiled.
    """
    missing = -x.shape[-1] % 4
    if not missing:
        return correlate(x, kernel)

    def fill(x: jax.Array, kernel: jax.Array) -> jax.Array:
        x = jnp.pad(x, [(0, 0)] * 3 + [(0, missing)])
        return correlate(x, jnp.pad(kernel, [(0, 0)] * 2 + [(0, missing), (0, 0)]))

    return lax.platform_dependent(x, kernel, cpu=fill, default=correlate)


def _transpose_kernel(kernel: jax.Array) -> jax.Array:
    """The kernel with which one of the two convolutions is the transpose of the other."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _conv_forward(x, kernel, stride, padding):
    return conv(x, kernel, stride, padding), (x, kernel)


def _conv_backward(stride, padding, residuals, y_bar):
    x, kernel = residuals
    x_bar = transposed_conv(y_bar, _transpose_kernel(kernel), stride, padding)
    return x_bar, _kernel_gradient(x, y_bar, kernel, stride, padding)


def _transposed_forward(x, kernel, stride, padding):
    return transposed_conv(x, kernel, stride, padding), (x, kernel)


def _transposed_backward(stride, padding, residuals, y_bar):
    x, kernel = residuals
    flipped = _transpose_kernel(kernel)
    # <y_bar, T(x, k)> = <conv(y_bar, k'), x>: the kernel's gradient is an ordinary convolution's.
    kernel_bar = _transpose_kernel(_kernel_gradient(y_bar, x, flipped, stride, padding))
    return conv(y_bar, flipped, stride, padding), kernel_bar


def _kernel_gradient(x, y_bar, kernel, stride, padding):
    """The gradient of <conv(x, kernel), y_bar> for the kernel."""
    correlate = _correlate(stride, padding)
    (kernel_bar,) = jax.linear_transpose(lambda k: correlate(x, k), kernel)(y_bar)
    return kernel_bar


conv.defvjp(_conv_forward, _conv_backward)
transposed_conv.defvjp(_transposed_forward, _transposed_backward)


class Conv(nnx.Module):
    """A convolution without bias: (B, H, W, I) to (B, H / stride, W / stride, O).

    Its kernel starts uniform on +-1/sqrt(fan_in), where fan_in is kernel_size^2 * I.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        stride: int,
        padding: int,
        *,
        dtype: jax.typing.DTypeLike,
    ):
        bound = 1 / (kernel_size * math.sqrt(in_features))
        self.kernel = declare_uniform((kernel_size, kernel_size, in_features, out_features), bound)
        self.stride, self.padding, self.dtype = stride, padding, dtype

    def __call__(self, x_BxHxWxI: jax.Array) -> jax.Array:
        """Returns the features, in the module's compute dtype."""
        kernel = self.kernel[...].astype(self.dtype)
        return conv(x_BxHxWxI.astype(self.dtype), kernel, self.stride, self.padding)


class ConvTranspose(Conv):
    """A transposed convolution without bias: (B, H, W, I) to (B, H * stride, W * stride, O)."""

    def __call__(self, x_BxHxWxI: jax.Array) -> jax.Array:
        """Returns the upsampled features, in the module's compute dtype."""
        kernel = self.kernel[...].astype(self.dtype)
        return transposed_conv(x_BxHxWxI.astype(self.dtype), kernel, self.stride, self.padding)
