"""PyTorch: `encode, decode = load("model.npz")`, tensors in and out; differentiable but for codes."""

import json

import numpy as np
import torch
from torch.nn import functional


def _norm(x, axes, scale=1, bias=0):
    variance, mean = torch.var_mean(x, tuple(axes), correction=0, keepdim=True)
    return (x - mean) * (scale * torch.rsqrt(variance + 1e-6)) + bias


def _conv(x, stride, padding, dilation, kernel):
    b, h, w, c = x.shape
    wide = x.new_zeros(b, c, dilation * (h - 1) + 1, dilation * (w - 1) + 1)
    wide[:, :, ::dilation, ::dilation] = x.permute(0, 3, 1, 2)
    maps = functional.conv2d(wide, kernel.permute(3, 2, 0, 1), stride=stride, padding=padding)
    return maps.permute(0, 2, 3, 1)


LAYERS = {
    "linear": lambda x, kernel, bias: x @ kernel + bias,
    "leaky_relu": functional.leaky_relu,
    "sigmoid": torch.sigmoid,
    "norm": _norm,
    "conv": _conv,
    "reshape": lambda x, shape: x.reshape(len(x), *shape),
    "constant": lambda x, c: c.expand(len(x), *c.shape),
    "take": lambda x, count: x[:, :count],
    "nearest": lambda x, c: ((x.reshape(len(x), -1, 1, c.shape[2]) - c) ** 2).sum(-1).argmin(-1),
    "lookup": lambda x, c: c[torch.arange(len(c)), x].reshape(len(x), -1),
}


def load(path):
    """Returns encode: images (B, H, W, C) in [0, 1] to latents (B, Z), and decode, its inverse."""
    file = dict(np.load(path))
    model = json.loads(str(file.pop("model")))
    arrays = {name: torch.from_numpy(array) for name, array in file.items()}

    def run(x, layers):
        for name, *arguments in layers:
            arguments = [arrays[a] if isinstance(a, str) else a for a in arguments]
            if name == "keep":
                style = x
            elif name == "modulate":
                scale_shift = torch.relu(LAYERS["linear"](style, *arguments))[:, None, None]
                x = x * scale_shift[..., : x.shape[-1]] + scale_shift[..., x.shape[-1] :]
            else:
                x = LAYERS[name](x, *arguments)
        return x

    return [lambda x, part=part: run(x, model[part]) for part in ("encoder", "decoder")]
