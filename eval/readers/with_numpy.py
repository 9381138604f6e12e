"""NumPy alone: `encode, decode = load("model.npz")`."""

import json

import numpy as np


def _norm(x, axes, scale=1, bias=0):
    mean, variance = (f(x, tuple(axes), keepdims=True) for f in (np.mean, np.var))
    return (x - mean) * (scale / np.sqrt(variance + 1e-6)) + bias


def _conv(x, stride, padding, dilation, kernel):
    sizes = (dilation * (n - 1) + 1 + 2 * padding for n in x.shape[1:3])
    wide = np.zeros((len(x), *sizes, x.shape[3]), x.dtype)
    inner = slice(padding, -padding or None, dilation)
    wide[:, inner, inner] = x
    windows = np.lib.stride_tricks.sliding_window_view(wide, kernel.shape[:2], (1, 2))
    return np.einsum("bhwcij,ijco->bhwo", windows[:, ::stride, ::stride], kernel, optimize=True)


LAYERS: dict = {
    "linear": lambda x, kernel, bias: x @ kernel + bias,
    "leaky_relu": lambda x, slope: np.where(x < 0, slope * x, x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "norm": _norm,
    "conv": _conv,
    "reshape": lambda x, shape: x.reshape(len(x), *shape),
    "constant": lambda x, c: np.tile(c, (len(x), 1, 1, 1)),
    "take": lambda x, count: x[:, :count],
    "nearest": lambda x, c: ((x.reshape(len(x), -1, 1, c.shape[2]) - c) ** 2).sum(-1).argmin(-1),
    "lookup": lambda x, c: c[np.arange(len(c)), x].reshape(len(x), -1),
}


def load(path):
    """Returns encode: images (B, H, W, C) in [0, 1] to latents (B, Z), and decode, its inverse."""
    arrays = dict(np.load(path))
    model = json.loads(str(arrays["model"]))

    def run(x, layers):
        for name, *arguments in layers:
            arguments = [arrays[a] if isinstance(a, str) else a for a in arguments]
            if name == "keep":
                style = x
            elif name == "modulate":
                both = np.maximum(LAYERS["linear"](style, *arguments), 0)[:, None, None]
                x = x * both[..., : x.shape[-1]] + both[..., x.shape[-1] :]
            else:
                x = LAYERS[name](x, *arguments)
        return x

    return [lambda x, part=part: run(np.asarray(x), model[part]) for part in ("encoder", "decoder")]
