"""A golden file in this project's terms: its config, its parameter layout, its loss names."""

import math
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from qlae.dataset_facts import DatasetFacts
from qlae.program import Program, make_program
from qlae.zoo import ZOO

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
    "tripod": "tripod",
    "tripod_naive": "tripod",
    "tripod_no_klm": "tripod",
    "tripod_no_nhp": "tripod",
    "factorqvae": "factor_qvae",
    "opt_ae": "qlae",
    "opt_gan": "qlinfo_wgan_gp",
}
TERMS = {
    "binary_cross_entropy": "reconstruction",
    "quantization": "quantize",
    "commitment": "commit",
    "latent_multiinformation": "multi_information",
    "mean_squared_error": "squared_error",
}
ACTIVATIONS = {"cond": "condition", "x_logits": "logits"}
NETWORKS = {
    ("encoder", "image"): "conv",
    ("encoder", "image_small"): "conv",
    ("decoder", "image"): "conv",
    ("decoder", "image_small"): "conv",
    ("decoder", "style_image"): "style",
    ("decoder", "style_image_small"): "style",
    ("encoder", "residual"): "residual",
    ("decoder", "residual"): "residual",
    ("encoder", "dalle"): "bottleneck",
    ("decoder", "dalle"): "bottleneck",
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
    (r"encoder/(?:down)/(\d+)/(.*)", "encoder/levels/{}/{}"),
    (r"decoder/(?:up)/(\d+)/(.*)", "decoder/levels/{}/{}"),
    (r"(encoder|decoder)/dense/(\d+)/norm_(scale|bias)", "{}/mlp/norms/{}/{}"),
    (r"encoder/conv_in/(weight|bias)", "encoder/conv/{}"),
    (r"(encoder|decoder)/group/(\d+)/block/(\d+)/(.*)", "{}/groups/{}/blocks/{}/{}"),
    (r"decoder/(project|conv)/(weight|bias)", "decoder/{}/{}"),
    (r"discriminator/dense/(\d+)/(weight|bias)", "discriminator/mlp/layers/{}/{}"),
    (r"discriminator/head/(weight|bias)", "discriminator/head/{}"),
    (r"decoder/transition/weight", "decoder/mlp/layers/{last}/kernel"),
    (r"decoder/transition/bias", "decoder/mlp/layers/{last}/bias"),
]


# Of what these leave open below a level or block.
_BELOW = [
    (r"/res/(\d+)/skip/", r"/blocks/\1/skip/"),
    (r"/res/(\d+)/(\d+)/cond/", r"/blocks/\1/units/\2/modulation/"),
    (r"/res/(\d+)/(\d+)/norm_", r"/blocks/\1/units/\2/norm/"),
    (r"/res/(\d+)/(\d+)/(weight|bias)", r"/blocks/\1/units/\2/conv/\3"),
    (r"/conv/(\d+)/(weight|bias)$", r"/convs/\1/\2"),
    (r"/weight$", "/kernel"),
]


class Golden:
    """One golden file."""

    def __init__(self, path: str | Path):
        with np.load(path, allow_pickle=False) as arrays:
            self.arrays = {key: arrays[key] for key in arrays.files}
        self.name = str(self.arrays["meta/model"])
        side = int(self.arrays.get("arch/image_size", (64,))[0])
        self.image_shape = (side, side, 3)

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    @property
    def is_tripod(self) -> bool:
        return self.name.startswith("tripod")

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
                last = str(len(self.arch("decoder_dense"))) if "{last}" in ours else ""
                ours = ours.replace("{last}", last).format(*match.groups())
                for below, here in _BELOW:
                    ours = re.sub(below, here, ours)
                return ours
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
        if path.startswith(("decoder/transition", "decoder/project")):
            sizes = "input_channels" if "project" in path else "encoder_widths"
            channels = self.arch(sizes)[-1]
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
        elif self.is_tripod:
            latents = {"levels": (int(self.hp("num_values")),)}
        elif "hp/num_values" in self:
            latents = {"num_values": int(self.hp("num_values"))}
        if "hp/temperature" in self:
            latents["temperature"] = self.hp("temperature")
        if self.name == "qlae_fixed_values":
            latents["learnable"] = False
        if self.name == "qlae_global":
            latents["shared"] = True
        objective: dict = {}
        if self.hp("anneal"):
            objective = {"warmup_steps": {"kl": int(self.hp("anneal_duration"))}}
        if self.is_tripod:
            penalized = tuple(ACTIVATIONS.get(n, n) for n in self["meta/penalized"].tolist())
            objective["probe"] = {
                "count": int(self.hp("num_perturbations")),
                "size": self.hp("epsilon"),
                "activations": penalized,
            }
        own: dict = {}
        if "hp/discriminator_learning_rate" in self:
            rate = self.hp("discriminator_learning_rate")
            own["players"] = {"discriminator": {"learning_rate": rate}}
        parts: dict = {}
        if "arch/discriminator_dense" in self:
            parts["discriminator"] = {"dense": self.arch("discriminator_dense")}
        return ConfigDict(
            {
                "model": {
                    **parts,
                    "name": MODELS[self.name],
                    "latents_per_source": 1,
                    "encoder": self._network("encoder"),
                    "decoder": self._network("decoder"),
                    "latents": latents,
                },
                "objective": objective,
                "weights": self._weights(),
                "optimizer": {
                    "learning_rate": self.hp("learning_rate"),
                    "weight_decay": self.hp("weight_decay"),
                    "b1": self.hp("b1"),
                    "b2": self.hp("b2"),
                    "eps": self.hp("adam_eps"),
                    "clip": self.hp("clip") if math.isfinite(self.hp("clip")) else None,
                    "clip_all": self.is_tripod,
                    **own,
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

    def _weights(self) -> dict[str, float]:
        """The weights of the terms: all 1 in a file of an optimizer alone, which has none."""
        row = ZOO[MODELS[self.name]]
        stored = self.under("hp/lambda") or dict.fromkeys(row.family.terms + row.terms, 1)
        return {TERMS.get(name, name): float(value) for name, value in stored.items()}

    @property
    def undetermined(self) -> frozenset[str]:
        """Parameters of zero gradient, which rounding alone moves in float32."""
        return frozenset(
            "".join(
                f"[{key if key.isdigit() else repr(key)}]" for key in self._path(path).split("/")
            )
            for path in self.arrays.get("meta/zero_gradient", np.asarray([])).tolist()
        )

    def _network(self, kind: str) -> dict:
        name = NETWORKS[kind, str(self.arrays[f"meta/{kind}"])]
        if (kind, name) == ("decoder", "bottleneck"):
            (channels,) = self.arch("input_channels")
            return {"name": name, "widths": self.arch("decoder_widths"), "channels": channels}
        sizes = ("dense", "widths", "kernel_sizes", "strides")
        stored = (size for size in sizes if f"arch/{kind}_{size}" in self)
        return {"name": name} | {size: self.arch(f"{kind}_{size}") for size in stored}
