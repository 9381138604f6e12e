"""Runs one golden file through the program that a config would run."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from qlae.objectives.tripod import KINDS
from qlae.program import Program
from qlae.training.state import select
from tests.parity.beyond import check_factor, check_grids, check_tripod
from tests.parity.compare import Report
from tests.parity.golden import TERMS, Golden
from tests.parity.run import Run, jit

_PER_PIXEL = ("kl", "mutual_information", "total_correlation", "dimension_wise_kl")


def check(path, dtype: str) -> Report:
    """Returns all errors of a golden file, computed in float64 or float32."""
    golden = Golden(path)
    report = Report(dtype, golden.hp("learning_rate"), golden.undetermined)
    with jax.enable_x64(dtype == "float64"):
        if golden.name == "fsq":
            check_grids(golden, report)
        elif golden.name == "factorqvae":
            check_factor(golden, golden.program(dtype), report, dtype)
        elif "hp/num_steps" in golden:
            check_optimizer(golden, report)
        elif any(key.startswith("enc/") for key in golden.arrays):
            check_gan(golden, golden.program(dtype), report, dtype)
        else:
            check_autoencoder(golden, golden.program(dtype), report, dtype)
            if golden.is_tripod:
                check_tripod(golden, golden.program(dtype), report, dtype)
    return report


def check_autoencoder(golden: Golden, program: Program, report: Report, dtype: str) -> None:
    """Forward values, losses, gradients, and parameters after one and three steps."""
    params, image = golden.params("params", dtype), golden.image("batch/x", dtype)
    (player,) = program.players
    draws = {"noise": jnp.asarray(golden["draw/eps"], dtype) if "draw/eps" in golden else None}
    if golden.is_tripod:
        draws |= {kind: jnp.asarray(golden[f"draw/{kind}"], dtype) for kind in KINDS}
    outputs = _autoencoder_outputs(golden, program, params, image, draws)
    _add_outputs(report, golden, "out", outputs)
    run = Run(golden, program, params, image)
    for step in range(3):
        metrics = run.move(player, draws)
        report.add_value("steps", str(step), golden["steps/total"][step], metrics["loss/total"])
        if step == 0:
            _add_losses(report, golden, "loss", metrics)
            _add_grads(report, golden, "grad", run.grads, dtype)
            report.add_params("after1", golden.params("after1", dtype), run.params, 1e-3)
    report.add_params("after3", golden.params("after3", dtype), run.params, 2e-2)


def check_gan(golden: Golden, program: Program, report: Report, dtype: str) -> None:
    """The critic's step, the generator's step, and the alternating schedule."""
    params, image = golden.params("params", dtype), golden.image("batch/x", dtype)
    players = dict(zip(("enc", "gen"), program.players, strict=True))
    draws = {side: _gan_draws(golden, side, dtype) for side in players}
    interpolated = golden.image("enc/out/x_interpolated", dtype)
    outputs = _gan_outputs(golden, program, params, image, draws["enc"]["latents"], interpolated)
    _add_outputs(report, golden, "enc/out", outputs)
    run = Run(golden, program, params, image)
    for side, player in players.items():
        run.restart()
        for step in range(3):
            metrics = run.move(player, draws[side])
            if step == 0:
                _add_losses(report, golden, f"{side}/loss", metrics)
                _add_grads(report, golden, f"{side}/grad", run.grads, dtype)
                stored = golden.params(f"{side}/after1", dtype)
                report.add_params(f"{side}/after1", stored, select(run.params, player), 1e-3)
        stored = golden.params(f"{side}/after3", dtype)
        report.add_params(f"{side}/after3", stored, select(run.params, player), 2e-2)
    run.restart()
    for letter in str(golden["alt/schedule"]).replace(",", ""):
        side = {"E": "enc", "G": "gen"}[letter]
        run.move(players[side], draws[side])
    report.add_params("alt", golden.params("alt/after", dtype), run.params, 3e-2)


def check_optimizer(golden: Golden, report: Report) -> None:
    """The optimizer alone, on five steps of given gradients."""
    program = golden.program("float32")
    params = golden.params("params", "float32")
    states = {player.name: program.init_opt_state(player, params) for player in program.players}
    for step in range(1, int(golden.hp("num_steps")) + 1):
        grads = golden.params(f"step{step}/grad", "float32")
        for player in program.players:
            optimizer = program.make_optimizer(player, program.hyperparameters)
            trained = select(params, player)
            updates, states[player.name] = optimizer.update(
                select(grads, player), states[player.name], trained
            )
            params |= jax.tree.map(jnp.add, trained, updates)
        report.add_exact(f"after{step}", golden.params(f"after{step}", "float32"), params)


def _autoencoder_outputs(golden, program, *arrays) -> dict:
    def outputs(params, image, draws):
        model = program.merge(params)
        codes = model.encode(image, draws["noise"])
        found = {
            "encoder_conv": model.encoder.feature_map(image).transpose(0, 3, 1, 2),
            "features": model.encoder.features(image),
            "pre_z": model.encoder(image),
            "z_continuous": codes.z_continuous,
            "z_quantized": codes.z_quantized,
            "z_indices": codes.indices,
            "z_hat": model.encode(image).z_hat,
            "z_mu": codes.z_continuous,
            "z_sigma": codes.scale,
            "z_sample": codes.z_hat,
            "decoder_w": model.decoder.mlp(codes.z_hat),
            "x_hat_logits": model.decode(codes.z_hat).transpose(0, 3, 1, 2),
            "x_hat_logits_eval": model.decode(model.encode(image).z_hat).transpose(0, 3, 1, 2),
        }
        if not hasattr(model.decoder, "input_map"):
            del found["decoder_w"]
        return {name: value for name, value in found.items() if f"out/{name}" in golden}

    return jit(outputs)(*arrays)


def _gan_draws(golden: Golden, side: str, dtype: str) -> dict:
    indices = f"{side}/draw/z_fake_indices"
    latents = golden[indices] if indices in golden else golden[f"{side}/draw/z_fake"].astype(dtype)
    draws = {"latents": jnp.asarray(latents)}
    if f"{side}/draw/epsilon" in golden:
        draws["mix"] = jnp.asarray(golden[f"{side}/draw/epsilon"], dtype)
    return draws


def _gan_outputs(golden, program, *arrays) -> dict:
    def outputs(params, image, latents, interpolated):
        model = program.merge(params)
        fake = jax.nn.sigmoid(model.decode(model.latents.lookup(latents)))
        gradient = jax.grad(lambda x: model.judge(x)[0].sum())(interpolated)
        found = {
            "x_fake": fake.transpose(0, 3, 1, 2),
            "x_gradient": gradient.transpose(0, 3, 1, 2),
            "x_gradient_norm": jnp.sqrt((gradient**2).sum((1, 2, 3))),
        }
        for side, x in (("fake", fake), ("real", image)):
            value, codes = model.judge(x)
            found |= {
                f"features_{side}": model.encoder.features(x),
                f"pre_z_{side}": model.encoder(x),
                f"value_{side}": value,
                f"z_hat_{side}": codes.z_hat,
                f"z_continuous_{side}": codes.z_continuous,
                f"z_quantized_{side}": codes.z_quantized,
                f"z_indices_{side}": codes.indices,
            }
        return {name: value for name, value in found.items() if f"enc/out/{name}" in golden}

    return jit(outputs)(*arrays)


def _add_outputs(report: Report, golden: Golden, prefix: str, outputs: dict) -> None:
    missing = set(golden.under(prefix)) - set(outputs) - {"x_interpolated"}
    assert not missing, f"stored but not compared: {sorted(missing)}"
    for name, value in outputs.items():
        report.add_value(prefix, name, golden[f"{prefix}/{name}"], np.asarray(value))


def _add_losses(report: Report, golden: Golden, prefix: str, metrics: dict) -> None:
    coefficients = {"beta", "total_correlation_lambda"}
    for name, stored in golden.under(prefix).items():
        if name in coefficients:
            continue
        if f"hp/lambda/{name}" in golden and not golden.hp(f"lambda/{name}"):
            # A costly term without weight is not computed; `check_tripod` looks at its value.
            assert metrics[f"loss/{TERMS.get(name, name)}"] == 0 or "penalty" not in name
            continue
        ours = metrics[f"loss/{TERMS.get(name, name)}"]
        if name in _PER_PIXEL:  # stored in nats; the KL as a mean over latents
            ours = ours * math.prod(golden.image_shape)
            ours = ours / golden.hp("num_latents") if name == "kl" else ours
        report.add_value(prefix, name, stored, np.asarray(ours))


def _add_grads(report: Report, golden: Golden, prefix: str, grads: dict, dtype: str) -> None:
    report.add_grads(prefix, golden.params(prefix, dtype), grads)
