"""PyTorch: `encode, decode = load("model.npz")`, tensors in and out."""

import json

import numpy as np
import torch
from torch.nn import functional


def _norm(x, axes, scale=1, bias=0):
    variance, mean = torch.var_mean(x, tuple(axes), correction=0, keepdim=True)
    return (x - mean) * (scale * torch.rsqrt(variance + 1e-6)) + bias


def _conv(x, stride, padding, dilation, kernel):
    sizes = (dilation * (n - 1) + 1 for n in x.shape[1:3])
    wide = x.new_zeros(len(x), x.shape[3], *sizes)
    wide[:, :, ::dilation, ::dilation] = x.permute(0, 3, 1, 2)
    kernel = kernel.permute(3, 2, 0, 1)
    return functional.conv2d(wide, kernel, None, stride, padding).permute(0, 2, 3, 1)


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
    arrays = dict(np.load(path))
    model = json.loads(str(arrays.pop("model")))

    def run(x, layers):
        for name, *arguments in layers:
            arguments = [torch.tensor(arrays[a]) if isinstance(a, str) else a for a in arguments]
            if name == "keep":
                style = x
            elif name == "modulate":
                both = torch.relu(LAYERS["linear"](style, *arguments))[:, None, None]
                x = x * both[..., : x.shape[-1]] + both[..., x.shape[-1] :]
            else:
                x = LAYERS[name](x, *arguments)
        return x

    return [lambda x, part=part: run(x, model[part]) for part in ("encoder", "decoder")]
