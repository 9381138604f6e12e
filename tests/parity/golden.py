"""A golden file in this project's terms: its config, its parameter layout, its loss names."""

import math
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from qlae.dataset_facts import DatasetFacts
from qlae.program import Program, make_program

MODELS = {
    "ae": "ae",
    "bioae": "bio_ae",
    "vae": "beta_vae",
    "vae_anneal": "beta_vae",
    "tcvae": "beta_tcvae",
    "qlae": "qlae",
    "qlae_fixed_values": "qlae",
    "qlae_global": "qlae",
    "qlae_image_decoder": "qlae",
    "qlae_small": "qlae",
    "vqvae": "vq_vae",
    "infogan": "info_wgan_gp",
    "quantized_infogan": "qlinfo_wgan_gp",
    "opt_ae": "qlae",
    "opt_gan": "qlinfo_wgan_gp",
}
TERMS = {
    "binary_cross_entropy": "reconstruction",
    "quantization": "quantize",
    "commitment": "commit",
}
NETWORKS = {
    ("encoder", "image"): "conv",
    ("encoder", "image_small"): "conv",
    ("decoder", "image"): "conv",
    ("decoder", "image_small"): "conv",
    ("decoder", "style_image"): "style",
    ("decoder", "style_image_small"): "style",
}

# (pattern of the file's path, this project's path); {} is the layer's number.
_PATHS = [
    (r"encoder/conv/(\d+)/weight", "encoder/blocks/{}/conv/kernel"),
    (r"encoder/conv/(\d+)/norm_(scale|bias)", "encoder/blocks/{}/norm/{}"),
    (r"(encoder|decoder|generator)/dense/(\d+)/weight", "{}/mlp/layers/{}/kernel"),
    (r"(encoder|decoder|generator)/dense/(\d+)/bias", "{}/mlp/layers/{}/bias"),
    (r"encoder/head/weight", "encoder/head/kernel"),
    (r"encoder/head/bias", "encoder/head/bias"),
    (r"encoder/critic/weight", "critic/kernel"),
    (r"encoder/critic/bias", "critic/bias"),
    (r"latent/(?:values|embeddings)", "latents/codebook"),
    (r"(decoder|generator)/input_map", "{}/input_map"),
    (r"(decoder|generator)/style/(\d+)/conv_t/weight", "{}/blocks/{}/conv/kernel"),
    (r"(decoder|generator)/style/(\d+)/cond/weight", "{}/blocks/{}/modulation/kernel"),
    (r"(decoder|generator)/style/(\d+)/cond/bias", "{}/blocks/{}/modulation/bias"),
    (r"decoder/conv_t/(\d+)/weight", "decoder/blocks/{}/conv/kernel"),
    (r"decoder/conv_t/(\d+)/norm_(scale|bias)", "decoder/blocks/{}/norm/{}"),
    (r"(decoder|generator)/conv/weight", "{}/conv/kernel"),
    (r"decoder/transition/weight", "decoder/mlp/layers/{last}/kernel"),
    (r"decoder/transition/bias", "decoder/mlp/layers/{last}/bias"),
]


class Golden:
    """One golden file."""

    def __init__(self, path: str | Path):
        with np.load(path, allow_pickle=False) as arrays:
            self.arrays = {key: arrays[key] for key in arrays.files}
        self.name = str(self.arrays["meta/model"])
        self.image_shape = (64, 64, 3)

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def hp(self, name: str, default: float = 0) -> float:
        """Returns a hyperparameter, as a Python number."""
        return self.arrays.get(f"hp/{name}", np.asarray(default)).item()

    def arch(self, name: str) -> tuple[int, ...]:
        """Returns a list of sizes."""
        return tuple(self.arrays[f"arch/{name}"].tolist())

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """Returns the arrays below a prefix, by the rest of their key."""
        start = prefix + "/"
        return {k[len(start) :]: v for k, v in self.arrays.items() if k.startswith(start)}

    def params(self, prefix: str, dtype) -> dict:
        """Returns the parameters (or gradients) below a prefix as this project's pure dict."""
        tree: dict = {}
        for path, array in self.under(prefix).items():
            keys = [int(key) if key.isdigit() else key for key in self._path(path).split("/")]
            node = tree
            for key in keys[:-1]:
                node = node.setdefault(key, {})
            node[keys[-1]] = jnp.asarray(self._layout(path, array), dtype)
        return tree

    def image(self, key: str, dtype) -> jnp.ndarray:
        """Returns images (B, C, H, W) as (B, H, W, C)."""
        return jnp.asarray(self.arrays[key].transpose(0, 2, 3, 1), dtype)

    def _path(self, path: str) -> str:
        for pattern, ours in _PATHS:
            if match := re.fullmatch(pattern, path):
                return ours.replace("{last}", str(len(self.arch("decoder_dense")))).format(
                    *match.groups()
                )
        raise KeyError(path)

    def _layout(self, path: str, array: np.ndarray) -> np.ndarray:
        """Kernels (O, I, k, k) -> (k, k, I, O); weights (out, in) -> (in, out); CHW -> HWC."""
        if array.ndim == 4:
            return array.transpose(2, 3, 1, 0)
        if path.endswith("input_map"):
            return array.transpose(1, 2, 0)
        if path == "encoder/dense/0/weight":
            channels = self.arch("encoder_widths")[-1]
            side = math.isqrt(array.shape[1] // channels)
            chw = array.reshape(-1, channels, side, side)
            return chw.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
        if path.startswith("decoder/transition"):
            channels = self.arch("encoder_widths")[-1]
            side = math.isqrt(array.shape[0] // channels)
            chw = array.reshape(channels, side, side, -1).transpose(3, 1, 2, 0)
            flat = chw.reshape(-1, array.shape[0])
            return flat[0] if array.ndim == 1 else flat
        return array.T if path.endswith("weight") else array

    def config(self, dtype: str) -> ConfigDict:
        """Returns the config whose program this file is the record of."""
        latents: dict = {}
        if self.name == "vqvae":
            latents = {
                "num_values": int(self.hp("num_embeddings")),
                "embedding_size": int(self.hp("embedding_size")),
            }
        elif "hp/num_values" in self:
            latents = {"num_values": int(self.hp("num_values"))}
        if self.name == "qlae_fixed_values":
            latents["learnable"] = False
        if self.name == "qlae_global":
            latents["shared"] = True
        warmup = {"kl": int(self.hp("anneal_duration"))} if self.hp("anneal") else {}
        return ConfigDict(
            {
                "model": {
                    "name": MODELS[self.name],
                    "latents_per_source": 1,
                    "encoder": self._network("encoder"),
                    "decoder": self._network("decoder"),
                    "latents": latents,
                },
                "objective": {"warmup_steps": warmup} if warmup else {},
                "weights": {
                    TERMS.get(name, name): float(value)
                    for name, value in self.under("hp/lambda").items()
                },
                "optimizer": {
                    "learning_rate": self.hp("learning_rate"),
                    "weight_decay": self.hp("weight_decay"),
                    "b1": self.hp("b1"),
                    "b2": self.hp("b2"),
                    "eps": self.hp("adam_eps"),
                    "clip": self.hp("clip"),
                },
                "compute_dtype": dtype,
            }
        )

    def program(self, dtype: str) -> Program:
        """Returns the project's own program for this file's config."""
        facts = DatasetFacts(
            image_shape=self.image_shape,
            source_names=("",) * int(self.hp("num_latents")),
            num_train=int(self.hp("dataset_size", 1)),
        )
        return make_program(self.config(dtype), facts)

    def _network(self, kind: str) -> dict:
        name = NETWORKS[kind, str(self.arrays[f"meta/{kind}"])]
        sizes = ("widths", "kernel_sizes", "strides")
        return {"name": name, "dense": self.arch(f"{kind}_dense")} | {
            size: self.arch(f"{kind}_{size}") for size in sizes
        }
