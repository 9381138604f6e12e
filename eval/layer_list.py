"""A model as two lists of layers, for programs without JAX: a browser, NumPy, PyTorch.

A layer is a name and its arguments, `[name, argument, ...]`; an argument that is a string names an
array. Each maps an array (B, ...), images NHWC, to the next:

    linear kernel bias                    x @ kernel + bias
    leaky_relu slope                      slope * x below zero; slope 0 is a relu
    sigmoid
    norm axes [scale bias]                (x - mean) / sqrt(variance + 1e-6), then the affine map
    conv stride padding dilation kernel   correlates the dilated, then padded input with HWIO
    reshape shape                         to (B, *shape)
    keep                                  remembers x as the style
    constant map                          this (H, W, C) for each of the batch, instead of x
    modulate kernel bias                  x * scale + shift; both in relu(style @ kernel + bias)
    take count                            the first features alone
    nearest codebook                      to indices (B, Z): of Z codebooks (or one), V vectors of E
    lookup codebook                       and back: to (B, Z * E)
"""

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qlae.common.errors import UserError
from qlae.latents.base import Latents
from qlae.latents.continuous import GaussianLatents, PointLatents
from qlae.latents.relaxed import CategoricalLatents
from qlae.latents.scalar import ScalarLatents
from qlae.latents.vector import VectorLatents
from qlae.models.autoencoder import CenteredAutoencoder
from qlae.nn.blocks import LEAK, MLP, Linear, NormalizedMLP
from qlae.nn.convolution import Conv, ConvTranspose
from qlae.nn.decoders import ConvDecoder, DenseDecoder, StyleDecoder
from qlae.nn.encoders import ConvEncoder, DenseEncoder
from qlae.nn.norm import Norm

Layer = list[Any]


@dataclass
class LayerList:
    """Layers, and the float32 arrays that they name."""

    layers: list[Layer] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, name: str, *arguments: Any, **arrays: Any) -> None:
        """Appends a layer: its plain arguments, then the names of its arrays."""
        names = {role: f"{len(self.layers):02d}.{name}.{role}" for role in arrays}
        for role, array in arrays.items():
            self.arrays[names[role]] = np.asarray(array, np.float32)
        self.layers.append([name, *arguments, *names.values()])


def list_encoder(model: Any) -> LayerList:
    """Returns the layers from images (B, H, W, C) in [0, 1] to latents (B, Z)."""
    made = LayerList()
    _add(model.encoder, made)
    _add_latents(model.latents, made, decode=False)
    return made


def list_decoder(model: Any) -> LayerList:
    """Returns the layers from latents (B, Z) to images (B, H, W, C) in [0, 1]."""
    if isinstance(model, CenteredAutoencoder):
        raise _make_unlisted_error(model)
    made = LayerList()
    _add_latents(model.latents, made, decode=True)
    _add(model.generator if hasattr(model, "generator") else model.decoder, made)
    made.add("sigmoid")
    return made


def _add_latents(latents: Latents, made: LayerList, decode: bool) -> None:
    name = "lookup" if decode else "nearest"
    if isinstance(latents, CategoricalLatents):
        raise _make_unlisted_error(latents)
    if isinstance(latents, ScalarLatents):
        made.add(name, codebook=latents.codebook_ZxV[..., None])
    elif isinstance(latents, VectorLatents):
        made.add(name, codebook=latents.codebook[...][None])
    elif isinstance(latents, GaussianLatents) and not decode:
        made.add("take", latents.num_latents)
    elif not isinstance(latents, PointLatents | GaussianLatents):
        raise _make_unlisted_error(latents)


@functools.singledispatch
def _add(module: Any, made: LayerList) -> None:
    raise _make_unlisted_error(module)


def _make_unlisted_error(module: Any) -> UserError:
    kind = type(module).__name__
    return UserError(f"no layers are known for {kind}: a model with it cannot be exported")


@_add.register
def _(conv: Conv, made: LayerList) -> None:
    made.add("conv", conv.stride, conv.padding, 1, kernel=conv.kernel[...])


@_add.register
def _(conv: ConvTranspose, made: LayerList) -> None:
    padding = conv.kernel.shape[0] - 1 - conv.padding
    made.add("conv", 1, padding, conv.stride, kernel=conv.kernel[...])


@_add.register
def _(norm: Norm, made: LayerList) -> None:
    scale, bias = norm.scale, norm.bias
    affine = {} if scale is None or bias is None else {"scale": scale[...], "bias": bias[...]}
    made.add("norm", list(norm.axes), **affine)


@_add.register
def _(linear: Linear, made: LayerList) -> None:
    made.add("linear", kernel=linear.kernel[...], bias=linear.bias[...])


@_add.register
def _(mlp: MLP, made: LayerList) -> None:
    for layer in mlp.layers:
        _add(layer, made)
        made.add("leaky_relu", 0)


@_add.register
def _(mlp: NormalizedMLP, made: LayerList) -> None:
    for layer, norm in zip(mlp.layers, mlp.norms, strict=True):
        _add(layer, made)
        _add(norm, made)
        made.add("leaky_relu", 0)


def _make_patch_kernel(patch: int, num_folded: int) -> np.ndarray:
    """Returns the kernel (patch, patch, C, num_folded) of the convolution that cuts patches."""
    num_channels = num_folded // patch**2
    pixels = np.eye(num_folded).reshape(num_channels, patch, patch, num_folded)
    return pixels.transpose(1, 2, 0, 3)


@_add.register
def _(encoder: ConvEncoder, made: LayerList) -> None:
    if encoder.patch > 1:
        num_folded = encoder.blocks[0].conv.kernel.shape[2]
        made.add("conv", encoder.patch, 0, 1, kernel=_make_patch_kernel(encoder.patch, num_folded))
    for block in encoder.blocks:
        _add(block.conv, made)
        _add(block.norm, made)
        made.add("leaky_relu", LEAK)
    _add_head(encoder, made)


@_add.register
def _(encoder: DenseEncoder, made: LayerList) -> None:
    _add_head(encoder, made)


def _add_head(encoder: Any, made: LayerList) -> None:
    made.add("reshape", [-1])
    _add(encoder.mlp, made)
    _add(encoder.head, made)


@_add.register
def _(decoder: StyleDecoder, made: LayerList) -> None:
    _add(decoder.mlp, made)
    made.add("keep")
    made.add("constant", map=decoder.input_map[...])
    for block in decoder.blocks:
        _add(block.conv, made)
        made.add("leaky_relu", LEAK)
        _add(block.norm, made)
        made.add("modulate", kernel=block.modulation.kernel[...], bias=block.modulation.bias[...])
    _add_image(decoder, made)


@_add.register
def _(decoder: ConvDecoder, made: LayerList) -> None:
    _add(decoder.mlp, made)
    made.add("reshape", list(decoder.map_shape))
    for block in decoder.blocks:
        _add(block.conv, made)
        _add(block.norm, made)
        made.add("leaky_relu", LEAK)
    _add_image(decoder, made)


@_add.register
def _(decoder: DenseDecoder, made: LayerList) -> None:
    _add(decoder.mlp, made)
    _add(decoder.head, made)
    made.add("reshape", list(decoder.image_shape))


def _add_image(decoder: StyleDecoder | ConvDecoder, made: LayerList) -> None:
    """Appends the last convolution, and the joining of its patches."""
    _add(decoder.conv, made)
    if decoder.patch > 1:
        cut = _make_patch_kernel(decoder.patch, decoder.conv.kernel.shape[3])
        join = cut[::-1, ::-1].swapaxes(2, 3)
        made.add("conv", 1, decoder.patch - 1, decoder.patch, kernel=join)
