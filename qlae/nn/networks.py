"""Encoders and decoders by the names that configs give them."""

from collections.abc import Callable

from qlae.nn.bottleneck import BottleneckDecoder, BottleneckEncoder
from qlae.nn.decoders import ConvDecoder, Decoder, DenseDecoder, StyleDecoder
from qlae.nn.encoders import ConvEncoder, DenseEncoder, Encoder
from qlae.nn.residual import ResidualDecoder, ResidualEncoder

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "conv": ConvEncoder,
    "dense": DenseEncoder,
    "residual": ResidualEncoder,
    "bottleneck": BottleneckEncoder,
}
DECODERS: dict[str, Callable[..., Decoder]] = {
    "conv": ConvDecoder,
    "style": StyleDecoder,
    "dense": DenseDecoder,
    "residual": ResidualDecoder,
    "bottleneck": BottleneckDecoder,
}
