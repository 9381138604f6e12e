"""A trained model as its users hold it: NumPy arrays in, NumPy arrays out."""

import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict
from numpy.typing import ArrayLike

from qlae.common.errors import UserError
from qlae.dataset_facts import DatasetFacts
from qlae.models.base import Model
from qlae.run_directory import RunDirectory, get_versions


class RestoredModel:
    """A model of a run at one step.

    Latents (B, Z) are int32 codebook indices where the model quantizes, else float32: what metrics
    read.

    Args:
        model: with its parameters.
        directory: of its run.
        facts: of its dataset.
        step: of its checkpoint.

    Attributes:
        model: the NNX module.
        step: the number of updates behind it.
        image_shape: (H, W, C).
        source_names: of the dataset's S sources.
        num_latents: Z.
        num_values: how many values a latent can take at most; None if it is continuous.
    """

    def __init__(self, model: Model, directory: RunDirectory, facts: DatasetFacts, step: int):
        self.model, self.step, self._directory = model, step, directory
        self.image_shape, self.source_names = facts.image_shape, facts.source_names
        self.num_latents: int = model.latents.num_latents
        self.num_values: int | None = model.latents.num_values

    def __repr__(self) -> str:
        differing = [f"{name} {old}, here {new}" for name, (old, new) in self.versions.items()]
        saved = f"; saved with {'; '.join(differing)}" if differing else ""
        name, data = self.config.arm, self.config.data.name
        return f"RestoredModel({name} on {data}, step {self.step:,}{saved})"

    @functools.cached_property
    def config(self) -> ConfigDict:
        """The config of the run."""
        return self._directory.load_config()

    @functools.cached_property
    def versions(self) -> dict[str, tuple[str, str]]:
        """Package -> (version that saved, version here), of those that differ."""
        here = get_versions()
        saved = self._directory.load_versions().items()
        return {name: (old, here[name]) for name, old in saved if here.get(name, old) != old}

    @functools.cached_property
    def nmi_SxZ(self) -> np.ndarray | None:
        """Normalised mutual information (S, Z) in [0, 1], where this step was scored; else None."""
        pattern = f"eval/*/step_{self.step:09d}.metrics_*.json"
        for path in sorted(self._directory.path.glob(pattern), reverse=True):
            values = json.loads(path.read_text()).get("nmi_SxZ")
            if values is not None:
                return np.array(values)
        return None

    def encode(self, images_BxHxWxC: np.ndarray) -> np.ndarray:
        """Returns the latents (B, Z) of images.

        Args:
            images_BxHxWxC: float in [0, 1], or uint8.

        Raises:
            UserError: images of another shape or range.
        """
        return np.asarray(self._encode(self._check_images(images_BxHxWxC)))

    def decode(self, latents_BxZ: np.ndarray) -> np.ndarray:
        """Returns images (B, H, W, C), float32 in [0, 1].

        Raises:
            UserError: latents of another shape, not finite, or indices outside the codebook.
        """
        return np.asarray(self._decode(self._check_latents(latents_BxZ)))

    def reconstruct(self, images_BxHxWxC: np.ndarray) -> np.ndarray:
        """Encodes and decodes; takes what `encode` does, returns what `decode` does."""
        return self.decode(self.encode(images_BxHxWxC))

    def traverse(
        self, image_HxWxC: np.ndarray, latent: int, values_K: ArrayLike | None = None
    ) -> np.ndarray:
        """Decodes an image's latents with one of them swept and all others kept.

        Args:
            image_HxWxC: as `encode` takes it, but a single one.
            latent: which, in [0, Z).
            values_K: that it takes; None takes its whole codebook.

        Returns:
            (K, H, W, C), float32 in [0, 1].

        Raises:
            UserError: no such latent or value; a continuous latent without values.
        """
        sizes_Z: Any = self.model.latents.num_values_Z
        if not 0 <= latent < self.num_latents:
            raise UserError(f"no latent {latent}: expected 0 to {self.num_latents - 1}")
        if values_K is None:
            if self.num_values is None:
                raise UserError(f"latent {latent} is continuous: pass the values it shall take")
            values_K = np.arange(sizes_Z[latent])
        values_K = np.asarray(values_K)
        own_1xZ = self.encode(np.asarray(image_HxWxC)[None])
        latents_KxZ = np.repeat(own_1xZ, len(values_K), axis=0)
        latents_KxZ = latents_KxZ.astype(np.result_type(own_1xZ, values_K))
        latents_KxZ[:, latent] = values_K
        return self.decode(latents_KxZ)

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Generates images (count, H, W, C), float32 in [0, 1], from the prior of a GAN.

        Raises:
            UserError: the model is an autoencoder, which learns no prior.
        """
        if not hasattr(self.model, "generator"):
            raise UserError(f"{self.config.arm} is an autoencoder: only GANs sample")
        return self.decode(np.asarray(self.model.latents.draw_prior(jax.random.key(seed), count)))

    @functools.cached_property
    def _encode(self) -> Callable[[ArrayLike], jax.Array]:
        return self._jit(lambda model, images: model.encode(images).latents)

    @functools.cached_property
    def _decode(self) -> Callable[[ArrayLike], jax.Array]:
        def decode(model: Model, latents_BxZ: jax.Array) -> jax.Array:
            logits = model.decode(model.latents.lookup(latents_BxZ))
            return jax.nn.sigmoid(logits.astype(jnp.float32))

        return self._jit(decode)

    def _jit(
        self, function: Callable[[Model, jax.Array], jax.Array]
    ) -> Callable[[ArrayLike], jax.Array]:
        """Compiles with the parameters as an argument: XLA would fold constants, at length."""
        graphdef, state = nnx.split(self.model)
        jitted = jax.jit(lambda state, x: function(nnx.merge(graphdef, state), x))
        return functools.partial(jitted, state)

    def _check_images(self, images_BxHxWxC: np.ndarray) -> np.ndarray:
        images = np.asarray(images_BxHxWxC)
        if images.shape[1:] != self.image_shape or images.ndim != 4:
            expected = ", ".join(map(str, self.image_shape))
            raise UserError(f"images have shape {images.shape}: expected (B, {expected})")
        if images.dtype == np.uint8:
            return images.astype(np.float32) / 255
        images = images.astype(np.float32)
        low, high = (float(f(images)) if images.size else 0.0 for f in (np.min, np.max))
        if not (low >= 0 and high <= 1):
            raise UserError(f"images range from {low:g} to {high:g}: expected [0, 1], or uint8")
        return images

    def _check_latents(self, latents_BxZ: np.ndarray) -> np.ndarray:
        latents = np.asarray(latents_BxZ)
        if latents.ndim != 2 or latents.shape[1] != self.num_latents:
            raise UserError(f"latents have shape {latents.shape}: expected (B, {self.num_latents})")
        if self.num_values is None:
            if not np.isfinite(latents).all():
                raise UserError("latents are not finite")
            return latents.astype(np.float32)
        if not np.issubdtype(latents.dtype, np.integer):
            raise UserError(
                f"latents are {latents.dtype}: expected integer indices of the codebook"
            )
        if latents.size and (latents.min() < 0 or latents.max() >= self.num_values):
            raise UserError(
                f"indices range from {latents.min()} to {latents.max()}: the codebook has values "
                f"0 to {self.num_values - 1}"
            )
        counts_Z = np.asarray(self.model.latents.num_values_Z)
        if (wrong_Z := (latents >= counts_Z).any(axis=0)).any():
            latent = int(wrong_Z.argmax())
            raise UserError(f"latent {latent} has values 0 to {counts_Z[latent] - 1} alone")
        return latents.astype(np.int32)
