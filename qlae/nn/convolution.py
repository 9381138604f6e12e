"""Strided and transposed convolution, each the other's gradient, fast on every backend.

XLA:CPU computes the kernel's gradient of a dilated convolution some 50 times slower than it needs.
Such a gradient arises in a decoder's transposed convolutions, and, by differentiating twice, in the
gradient penalty of a critic's strided ones. Here each of the two is the other's rule of
differentiation, at every order, and no kernel's gradient is ever one of a dilated convolution.

Where a backend is faster at another form of a convolution, `_convolve` chooses it.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from qlae.nn.init import declare_layer

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def conv(
    x_BxHxWxI: jax.Array,
    kernel: jax.Array,
    stride: int,
    padding: int,
    precision: lax.Precision | None = None,
) -> jax.Array:
    """Correlates a padded input with a kernel (k, k, I, O), `stride` pixels at a time.

    Args:
        x_BxHxWxI: float input; H + 2 * padding - k and its like for W must divide by `stride`.
        kernel: (k, k, I, O), same dtype.
        stride: downsampling factor.
        padding: zeros on each side.
        precision: of products, here and in every derivative; None is the backend's default.

    Returns:
        (B, H', W', O), where H' = (H + 2 * padding - k) / stride + 1.
    """
    return _convolve(x_BxHxWxI, kernel, _correlate(stride, padding, precision))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def transposed_conv(
    x_BxHxWxI: jax.Array,
    kernel: jax.Array,
    stride: int,
    padding: int,
    precision: lax.Precision | None = None,
) -> jax.Array:
    """Correlates the `stride`-dilated input with an unflipped kernel, padded by k - 1 - padding.

    For the two layers of the paper (k=3, stride 1 and k=4, stride 2, both padding 1) the output
    is `stride` times as large as the input.

    Args:
        x_BxHxWxI: float input.
        kernel: (k, k, I, O), same dtype.
        stride: upsampling factor.
        padding: of the convolution that this one transposes.
        precision: as in `conv`.

    Returns:
        (B, H', W', O), where H' = (H - 1) * stride + k - 2 * padding.
    """
    outer = kernel.shape[0] - 1 - padding
    return _convolve(x_BxHxWxI, kernel, _correlate(1, outer, precision, dilation=stride))


def _correlate(
    stride: int, padding: int, precision: lax.Precision | None, dilation: int = 1
) -> Callable[..., jax.Array]:
    """Returns XLA's convolution of an input and a kernel, with these sizes along H and W."""
    return functools.partial(
        lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding=[(padding, padding)] * 2,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
        precision=precision,
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


def _conv_forward(x, kernel, *geometry):
    return conv(x, kernel, *geometry), (x, kernel)


def _conv_backward(stride, padding, precision, residuals, y_bar):
    x, kernel = residuals
    geometry = (stride, padding, precision)
    x_bar = transposed_conv(y_bar, _transpose_kernel(kernel), *geometry)
    return x_bar, _kernel_gradient(x, y_bar, kernel, *geometry)


def _transposed_forward(x, kernel, *geometry):
    return transposed_conv(x, kernel, *geometry), (x, kernel)


def _transposed_backward(stride, padding, precision, residuals, y_bar):
    x, kernel = residuals
    flipped, geometry = _transpose_kernel(kernel), (stride, padding, precision)
    # <y_bar, T(x, k)> = <conv(y_bar, k'), x>: the kernel's gradient is an ordinary convolution's.
    kernel_bar = _transpose_kernel(_kernel_gradient(y_bar, x, flipped, *geometry))
    return conv(y_bar, flipped, *geometry), kernel_bar


def _kernel_gradient(x, y_bar, kernel, stride, padding, precision):
    """The gradient of <conv(x, kernel), y_bar> for the kernel.

    As a convolution whose batch are x's channels. XLA:CPU brings its axes into the order of its
    fast kernels by itself, but not in the branch of a conditional, nor in the body of a loop: there
    it takes thirty times as long. So they are brought into order here.
    """

    def transpose(x: jax.Array, y_bar: jax.Array) -> jax.Array:
        correlate = _correlate(stride, padding, precision)
        return jax.linear_transpose(lambda k: correlate(x, k), kernel)(y_bar)[0]

    def reorder(x: jax.Array, y_bar: jax.Array) -> jax.Array:
        kernel_bar_IxKxKxO = _correlate(1, padding, precision)(
            x.transpose(3, 1, 2, 0), y_bar.transpose(1, 2, 0, 3), rhs_dilation=(stride, stride)
        )
        return kernel_bar_IxKxKxO.transpose(1, 2, 0, 3)

    return lax.platform_dependent(x, y_bar, cpu=reorder, default=transpose)


conv.defvjp(_conv_forward, _conv_backward)
transposed_conv.defvjp(_transposed_forward, _transposed_backward)


class Conv(nnx.Module):
    """A convolution: (B, H, W, I) to (B, H / stride, W / stride, O); without bias unless asked.

    Kernel and bias start as `declare_layer` says; fan_in is kernel_size^2 * I.
    """

    transform = staticmethod(conv)
    precision: lax.Precision | None = None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        stride: int,
        padding: int,
        *,
        bias: bool = False,
        deviation: float | None = None,
        dtype: jax.typing.DTypeLike,
    ):
        shape = (kernel_size, kernel_size, in_features, out_features)
        self.kernel, own_bias = declare_layer(shape, deviation)
        self.bias = own_bias if bias else None
        self.stride, self.padding, self.dtype = stride, padding, dtype

    def __call__(self, x_BxHxWxI: jax.Array) -> jax.Array:
        """Returns the features, in the module's compute dtype."""
        x, kernel = x_BxHxWxI.astype(self.dtype), self.kernel[...].astype(self.dtype)
        y = self.transform(x, kernel, self.stride, self.padding, self.precision)
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)


class ConvTranspose(Conv):
    """A transposed convolution: (B, H, W, I) to (B, H * stride, W * stride, O)."""

    transform = staticmethod(transposed_conv)
