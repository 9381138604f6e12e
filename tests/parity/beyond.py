"""What came after the paper: grids, Tripod's terms, and the factor models' two players."""

import jax
import jax.numpy as jnp
import numpy as np

from qlae.latents.relaxed import RelaxedScalarLatents
from qlae.latents.rounded import FSQLatents, GridLatents
from qlae.objectives.factor import permute
from qlae.objectives.forward import Forward, Probe
from qlae.objectives.tripod import (
    KINDS,
    compute_curvatures,
    compute_hessian_penalty,
    compute_multi_information,
    compute_normalized_hessian_penalty,
    estimate_kernel_densities,
)
from qlae.program import Program
from qlae.training.optimizer import anneal
from qlae.training.state import select
from tests.parity.compare import Report
from tests.parity.golden import ACTIVATIONS, TERMS, Golden
from tests.parity.run import Run, jit


def check_grids(golden: Golden, report: Report) -> None:
    """FSQ in both forms and Tripod's grid: positions, values, indices, gradients."""
    z, cotangent = (jnp.asarray(golden[key], float) for key in ("z", "cotangent"))
    levels = tuple(golden["levels"].tolist())
    grids = {
        "fsq": FSQLatents(len(levels), levels=levels, shift="tan"),
        "fsq_atanh": FSQLatents(len(levels), levels=levels, shift="atanh"),
        "tripod": GridLatents(len(levels), levels=levels),
    }
    for name, grid in grids.items():
        codes, pull = jax.vjp(grid, z)
        zero = grid(jnp.zeros((1, len(levels))))
        found = {
            "shift": getattr(grid, "shift_Z", None),
            "bounded": grid.locate(z),
            "z_continuous": codes.z_continuous,
            "z_hat": codes.z_hat,
            "z_indices": codes.indices,
            "codes": codes.indices @ golden["basis"],
            "grad_z": _pull_z_hat(pull, codes, cotangent),
            "z_hat_at_zero": zero.z_hat[0],
            "z_indices_at_zero": zero.indices[0],
        }
        for key, stored in golden.under(name).items():
            report.add_value(name, key, stored, found[key])
        report.add_value(name, "lookup", np.asarray(codes.z_hat), grid.lookup(codes.indices))


def _pull_z_hat(pull, codes, cotangent: jax.Array) -> jax.Array:
    zeros = jax.tree.map(
        lambda leaf: (
            np.zeros(leaf.shape, jax.dtypes.float0)
            if leaf.dtype == jnp.int32
            else jnp.zeros_like(leaf)
        ),
        codes,
    )
    return pull(zeros.replace(z_hat=cotangent))[0]


def check_tripod(golden: Golden, program: Program, report: Report, dtype: str) -> None:
    """Each term by itself, whatever its weight: densities, curvatures, gradients."""
    params, image = golden.params("params", dtype), golden.image("batch/x", dtype)
    draws = {kind: jnp.asarray(golden[f"draw/{kind}"], dtype) for kind in KINDS}
    theirs = {ACTIVATIONS.get(name, name): name for name in _activations(golden)}
    penalized = tuple(ACTIVATIONS.get(name, name) for name in golden["meta/penalized"].tolist())

    def compute(params, image, draws):
        def show(model, pre_z: jax.Array, activations: tuple[str, ...]) -> Forward:
            codes = model.latents(pre_z)
            probe = Probe(int(golden.hp("num_perturbations")), golden.hp("epsilon"), activations)
            logits = model.decode(codes.z_hat)
            return Forward(codes, image, logits, 1, model.decoder, draws, probe)

        model = program.merge(params)
        pre_z = model.encoder(image)
        forward = show(model, pre_z, tuple(theirs))
        joint, marginals = estimate_kernel_densities(forward)
        found = {"klm/z_std": forward.spread, "klm/log_joint": joint}
        found["klm/log_marginals"] = marginals
        for ours, (signs, everything) in compute_curvatures(forward, KINDS).items():
            found |= {
                f"penalty/numerator/{theirs[ours]}": signs,
                f"penalty/denominator/{theirs[ours]}": everything,
                f"penalty/ratio/{theirs[ours]}": signs / (everything + 1e-10),
            }
        activations = model.decoder.activations(forward.codes.z_hat)
        for key in golden.under("act"):
            found[f"act/{key}"] = activations[key].transpose(0, 3, 1, 2)
        terms = {
            ("klm/grad_pre_z", "latent_multiinformation"): compute_multi_information,
            ("penalty/grad_pre_z_numerator", "hessian_penalty"): compute_hessian_penalty,
            (
                "penalty/grad_pre_z_ratio",
                "normalized_hessian_penalty",
            ): compute_normalized_hessian_penalty,
        }
        for (key, name), term in terms.items():
            found[f"loss/{name}"], found[key] = jax.value_and_grad(
                lambda z, term=term: term(show(model, z, penalized))
            )(pre_z)
        return found

    for name, value in jit(compute)(params, image, draws).items():
        report.add_value(name.split("/")[0], name, golden[name], value)


def _activations(golden: Golden) -> list[str]:
    return [name.removeprefix("ratio/") for name in golden.under("penalty") if "ratio/" in name]


def check_factor(golden: Golden, program: Program, report: Report, dtype: str) -> None:
    """Each player alone, both in turn, what they see, and the schedules."""
    params = golden.params("params", dtype)
    halves = jnp.split(golden.image("batch/x", dtype), 2)
    image = jnp.stack(halves, axis=1).reshape(-1, *golden.image_shape)  # every other image
    noise = {
        half: jnp.asarray(golden[f"draw/gumbel_{half}"], dtype) for half in ("first", "second")
    }
    permutations = jnp.asarray(golden["draw/permutations"]).T
    draws = {
        "vae": {"noise": noise["first"]},
        "disc": {"noise": noise["second"], "permutations": permutations},
    }
    compute = jit(lambda params, *arrays: _factor_outputs(program.merge(params), *arrays))
    outputs = compute(params, halves, draws)
    for name, value in outputs.items():
        report.add_value(name.rsplit("/", 1)[0], name, golden[name], value)
    players = dict(zip(("vae", "disc"), program.players, strict=True))
    run = Run(golden, program, params, image)
    for side, player in players.items():
        run.restart({"joint": outputs["out/weights"]})
        for step in range(3):
            metrics = run.move(player, draws[side])
            stored = golden[f"{side}/steps/total"][step]
            report.add_value(f"{side}/steps", str(step), stored, metrics["loss/total"])
            if step == 0:
                _add_losses(report, golden, side, metrics)
                stored = golden.params(f"{side}/grad", dtype)
                report.add_grads(f"{side}/grad", stored, run.grads)
                after = golden.params(f"{side}/after1", dtype)
                report.add_params(f"{side}/after1", after, select(run.params, player), 1e-3)
        after = golden.params(f"{side}/after3", dtype)
        report.add_params(f"{side}/after3", after, select(run.params, player), 2e-2)
    run.restart()
    for turn in (1, 2):
        for side, player in players.items():
            metrics = run.move(player, draws[side])
            logged = golden["alt/log/vae_loss" if side == "vae" else "alt/log/disc_loss"]
            report.add_value("alt/log", f"{side}{turn}", logged[turn - 1], metrics["loss/total"])
        stored = golden.params(f"alt/after{turn}", dtype)
        report.add_params(f"alt/after{turn}", stored, run.params, 3e-2)
    _check_schedules(golden, report)


def _add_losses(report: Report, golden: Golden, side: str, metrics: dict) -> None:
    for name, stored in golden.under(f"{side}/loss").items():
        ours = metrics[f"loss/{TERMS.get(name, name)}"]
        report.add_value(f"{side}/loss", name, stored, ours)


def _factor_outputs(model, halves, draws) -> dict:
    codes = model.encode(halves[0], draws["vae"]["noise"])
    inferred = model.encode(halves[0])
    second = model.encode(halves[1], draws["disc"]["noise"])
    permuted = permute(second.sample, draws["disc"]["permutations"])
    one_hot = jax.nn.one_hot(inferred.indices, model.latents.num_values)
    return {
        "out/encoder_conv": model.encoder.feature_map(halves[0]).transpose(0, 3, 1, 2),
        "out/features": model.encoder.features(halves[0]),
        "out/pre_z": model.encoder(halves[0]),
        "out/z_continuous": codes.z_continuous,
        "out/distances": -codes.logits,
        "out/weights": codes.weights,
        "out/posterior": jax.nn.softmax(codes.logits),
        "out/z_hat": codes.z_hat,
        "out/x_hat": model.decoder(codes.z_hat).transpose(0, 3, 1, 2),
        "out/z_indices": codes.indices,
        "out/z_indices_train": codes.weights.argmax(-1).astype(jnp.int32),
        "out/z_quantized": codes.z_quantized,
        "eval/weights": one_hot,
        "eval/z_hat": model.latents.lookup(inferred.indices),
        "eval/x_hat": model.decoder(inferred.z_hat).transpose(0, 3, 1, 2),
        "disc/out/weights_second": second.weights,
        "disc/out/weights_permuted": permuted,
        "disc/out/logits_joint": model.discriminator(codes.sample),
        "disc/out/logits_permuted": model.discriminator(permuted),
    }


def _check_schedules(golden: Golden, report: Report) -> None:
    stored = golden["schedule/cosine_50"]
    rates = anneal(stored[0], np.arange(len(stored)), steps=50, end=1.25e-6)
    report.add_value("schedule", "cosine", stored, rates)
    latents = RelaxedScalarLatents(1, temperature_decay=1e-5)
    temperatures = latents.compute_temperature(jnp.asarray(golden["schedule/temperature_step"]))
    report.add_value("schedule", "temperature", golden["schedule/temperature"], temperatures)
