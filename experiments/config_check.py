"""What every value of a config must be: checked in one place, before anything is claimed."""

from typing import Any

from ml_collections import ConfigDict

from eval.scoring import check_scoring
from qlae.common.errors import UserError
from qlae.common.schema import (
    COUNT,
    MOMENT,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SEVERAL,
    SIZES,
    SIZES_IF_ANY,
    TEXT,
    WHOLE,
    Rule,
    each,
    find_wrong,
)
from qlae.zoo import ZOO

SPAN = Rule(
    "empty, or first and last step, counted from this start",
    lambda steps: not steps or (SIZES.holds(steps) and len(steps) == 2 and steps[0] <= steps[1]),
)
# Not float64: without JAX's x64 mode it would be computed in float32.
COMPUTE_DTYPE = Rule('"float32" or "bfloat16"', lambda name: name in ("float32", "bfloat16"))
_PRECISIONS = ("default", "high", "highest")
MATMUL_PRECISION = Rule('"default", "high" or "highest"', lambda name: name in _PRECISIONS)

RULES: dict[str, Rule] = {
    "compute_dtype": COMPUTE_DTYPE,
    "matmul_precision": MATMUL_PRECISION,
    "seed": SEED,
    "num_steps": COUNT,
    "batch_size": COUNT,
    "checkpoint_every": COUNT,
    "log_every": COUNT,
    "checkpoints.keep_newest": WHOLE,
    "checkpoints.keep_every": WHOLE,
    "data.split_seed": SEED,
    "data.order_seed": SEED,
    "data.num_validation": COUNT,
    "data.num_test": COUNT,
    "data.num_pairs": COUNT,
    "data.correlation_width": POSITIVE,
    "data.image_size": COUNT,
    "model.latents_per_source": COUNT,
    "model.encoder.widths": SIZES,
    "model.encoder.kernel_sizes": SIZES,
    "model.encoder.strides": SIZES,
    "model.encoder.dense": SIZES_IF_ANY,
    "model.encoder.patch": COUNT,
    "model.decoder.widths": SIZES,
    "model.decoder.kernel_sizes": SIZES,
    "model.decoder.strides": SIZES,
    "model.decoder.dense": SIZES_IF_ANY,
    "model.decoder.patch": COUNT,
    "model.encoder.deviation": POSITIVE,
    "model.decoder.deviation": POSITIVE,
    "model.decoder.channels": COUNT,
    "model.discriminator.dense": SIZES,
    "model.discriminator.deviation": POSITIVE,
    "model.latents.num_values": COUNT,
    "model.latents.levels": SIZES,
    "model.latents.temperature": POSITIVE,
    "model.latents.temperature_decay": NOT_NEGATIVE,
    "model.latents.embedding_size": COUNT,
    "objective.generator_every": COUNT,
    "objective.probe.count": SEVERAL,
    "objective.probe.size": POSITIVE,
    "optimizer.learning_rate": POSITIVE,
    "optimizer.weight_decay": NOT_NEGATIVE,
    "optimizer.b1": MOMENT,
    "optimizer.b2": MOMENT,
    "optimizer.eps": POSITIVE,
    "optimizer.clip": POSITIVE,
    "optimizer.cosine.steps": COUNT,
    "optimizer.cosine.end": NOT_NEGATIVE,
    **{
        f"optimizer.players.discriminator.{name}": rule
        for name, rule in (("learning_rate", POSITIVE), ("b1", MOMENT), ("b2", MOMENT))
    },
    "eval.batch_size": COUNT,
    "population.seeds": COUNT,
    "population.learning_rate": each(POSITIVE),
    "population.weight_decay": each(NOT_NEGATIVE),
    "profile.steps": SPAN,
    # Names, which are looked up where they are used.
    "arm": TEXT,
    "init_from": TEXT,
    "data.name": TEXT,
    "data.data_dir": TEXT,
    "data.cache": TEXT,
    "data.protocol": TEXT,
    "data.marginalised": each(TEXT),
    "model.name": TEXT,
    "model.encoder.name": TEXT,
    "model.decoder.name": TEXT,
    "model.latents.shift": TEXT,
    "objective.probe.activations": each(TEXT),
    "eval.metrics": each(TEXT),
    "eval.splits": each(TEXT),
    "eval.dialect": TEXT,
}
# Of the entries of a group, whatever their names.
GROUPS: dict[str, Rule] = {
    "weights": NOT_NEGATIVE,
    "population.weights": each(NOT_NEGATIVE),
    "objective.warmup_steps": WHOLE,
}


def check_config(config: ConfigDict) -> None:
    """Checks the values of a config, whatever its model; names are looked up where they are used.

    Raises:
        UserError: the first value that cannot be, with what was expected.
    """
    values = {key: value for key in RULES if (value := _find(config, key)) is not None}
    rules = dict(RULES)
    for group, rule in GROUPS.items():
        for name, value in (_find(config, group) or {}).items():
            values[f"{group}.{name}"], rules[f"{group}.{name}"] = value, rule
    if wrong := find_wrong(values, rules):
        raise UserError(f"config.{wrong}")
    for kind in ("encoder", "decoder"):
        _check_layers(kind, config.model[kind])
    row = ZOO.get(config.model.name)
    if row is not None and row.family.halves_batch and config.batch_size % 2:
        raise UserError(
            f"config.batch_size={config.batch_size}: expected an even number, for the two players "
            f"of {config.model.name} take half of the images each"
        )
    if config.seed + config.population.seeds > 2**32:
        raise UserError("config.seed and population.seeds together pass 4294967295, the last seed")
    if (steps := config.profile.steps) and steps[1] > config.num_steps:
        raise UserError(
            f"config.profile.steps={tuple(steps)} ends after the run, at step {config.num_steps}"
        )
    check_scoring(config)


def _check_layers(kind: str, network: ConfigDict) -> None:
    lists = {
        name: network[name] for name in ("widths", "kernel_sizes", "strides") if name in network
    }
    if len(set(map(len, lists.values()))) > 1:
        sizes = ", ".join(f"{len(values)} {name}" for name, values in lists.items())
        raise UserError(f"config.model.{kind} has {sizes}: give one of each a layer")


def _find(config: ConfigDict, key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        if name not in node:
            return None
        node = node[name]
    return node
