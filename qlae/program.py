"""From a config to the pure functions of a run: initial state, train step, hyperparameters."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from ml_collections import ConfigDict

from qlae import zoo
from qlae.common.factories import get_named
from qlae.dataset_facts import DatasetFacts
from qlae.models.base import Model
from qlae.objectives.player import Metrics, Player
from qlae.training.optimizer import anneal, make_decay_mask, make_optimizer
from qlae.training.state import Hyperparameters, Params, TrainState, init_state, select
from qlae.training.steps import Batch, make_train_step

TRACED = ("learning_rate", "weight_decay")


@dataclass(frozen=True)
class Program:
    """A model and how it is trained, before any array exists.

    Attributes:
        graphdef: of the model; with `params` it makes the model again (`merge`).
        players: who is trained on what.
        hyperparameters: traced scalars, from the config.
        make_model: () -> model, before `draw_params`.
        decay_mask: pure dict of bool like the parameters.
        optimizer_options: by player, what `make_optimizer` takes instead of or beside the traced
            scalars, and `cosine`, what `anneal` takes.
    """

    graphdef: nnx.GraphDef
    players: tuple[Player, ...]
    hyperparameters: Hyperparameters
    make_model: Callable[[], Model]
    decay_mask: Params
    optimizer_options: dict[str, dict[str, Any]]

    def make_optimizer(
        self, player: Player, hyperparameters: Hyperparameters, step: jax.Array | int = 0
    ) -> optax.GradientTransformation:
        """Returns the optimizer of one player's parameters at a step."""
        options = {
            "learning_rate": hyperparameters.learning_rate,
            "weight_decay": hyperparameters.weight_decay,
            **self.optimizer_options[player.name],
        }
        if cosine := options.pop("cosine", None):
            options["learning_rate"] = anneal(options["learning_rate"], step, **cosine)
        return make_optimizer(select(self.decay_mask, player), **options)

    def init_opt_state(self, player: Player, params: Params) -> Any:
        """Returns a player's optimizer state before the first step."""
        return self.make_optimizer(player, self.hyperparameters).init(select(params, player))

    def init(self, seed: int | jax.Array) -> TrainState:
        """Returns the state before the first step, a pure function of the seed; jit it."""
        return init_state(self.make_model, self.players, self.init_opt_state, seed)

    def make_step(
        self, prepare_image: Callable[[Batch], jax.Array]
    ) -> Callable[[TrainState, Hyperparameters, Batch], tuple[TrainState, Metrics]]:
        """Returns the pure train step (`qlae.training.steps.make_train_step`); jit and shard it."""
        return make_train_step(self.graphdef, self.players, self.make_optimizer, prepare_image)

    @functools.cached_property
    def abstract_state(self) -> TrainState:
        """Returns shapes and dtypes of the state."""
        return jax.eval_shape(self.init, 0)

    @property
    def abstract_params(self) -> Params:
        """Returns shapes and dtypes of the parameters."""
        return self.abstract_state.params

    def merge(self, params: Params) -> Model:
        """Returns the model with these parameters.

        Raises:
            ValueError: the parameters are not this model's. NNX merges by sorted position and
                would permute layers in silence.
        """
        expected, given = (
            {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(t)}
            for t in (self.abstract_params, params)
        )
        if expected != given:
            odd = sorted(set(expected.items()) ^ set(given.items()))[0][0]
            raise ValueError(f"parameters of another model: they differ from this one's at {odd}")
        return nnx.merge(self.graphdef, params)


def make_program(config: ConfigDict, facts: DatasetFacts) -> Program:
    """Builds the program of a config for images of a dataset.

    Args:
        config: `model`, `objective`, `weights`, `optimizer` and `compute_dtype` are read.
        facts: of the dataset.

    Raises:
        UserError: the config names or sizes something that does not exist or fit.
    """
    sizes: dict[str, Any] = {
        "image_shape": facts.image_shape,
        "num_latents": config.model.latents_per_source * len(facts.source_names),
    }

    def make_model() -> Model:
        return zoo.make_model(config, **sizes)

    model = nnx.eval_shape(make_model)
    players = zoo.make_players(config, model, dataset_size=facts.num_train)
    options = config.optimizer.to_dict()
    own = options.pop("players", {})  # learning rate and all, of a player that differs
    for name in own:
        get_named("player", {player.name: () for player in players}, name)
    shared = {name: value for name, value in options.items() if name not in TRACED}
    return Program(
        graphdef=nnx.graphdef(model),
        players=players,
        hyperparameters=make_hyperparameters(config),
        make_model=make_model,
        decay_mask=make_decay_mask(model),
        optimizer_options={p.name: {**shared, **own.get(p.name, {})} for p in players},
    )


def make_hyperparameters(config: ConfigDict) -> Hyperparameters:
    """Returns the traced scalars of a config."""
    return Hyperparameters(
        learning_rate=jnp.asarray(config.optimizer.learning_rate, float),
        weight_decay=jnp.asarray(config.optimizer.weight_decay, float),
        weights={name: jnp.asarray(value, float) for name, value in config.weights.items()},
    )
