"""An evaluation worker that is killed between any two of its phases."""

import json
from pathlib import Path

from tests import runs
from tests.faults.outcome import Outcome

# In the order in which a checkpoint meets them.
PHASES = (
    "qlae.restore.StoredRun.load",
    "eval.evaluator.compute_metrics",
    "eval.evaluator.compute_structure",
    "eval.evaluator.compute_ceilings",
    "eval.evaluator.Evaluator._publish",
    "eval.evaluator.make_figures",
    "eval.evaluator.write_record",
    "eval.records.write_whole",
)
SHORT = ("--config.num_steps=30", "--config.checkpoint_every=10")


def kill_between_phases(folder: Path, kills: int) -> Outcome:
    """Kills the worker of a trained run before and after phase after phase, then lets it end."""
    outcome = Outcome("SIGKILL of the worker between two phases")
    killed, undisturbed = folder / "worker_killed", folder / "worker_undisturbed"
    for workdir in (killed, undisturbed):
        code, _, errors = runs.train_process(workdir, *SHORT)
        assert code == 0, errors
    evaluate(undisturbed)
    places = [(phase, after) for phase in PHASES for after in (False, True)]
    for kill in range(kills):
        phase, after = places[kill % len(places)]
        faults = json.dumps({"die": [phase, 1, after]})
        code, _, errors = runs.run_process(
            "tests.faults.hostile", faults, "eval.worker", f"--workdir={killed}", "--once"
        )
        outcome.tried += code == -9
        if code == 0:  # all is scored: what comes next begins anew
            outcome += check_records(killed, undisturbed, outcome.fault)
            for record in list_records(killed):
                (killed / record).unlink()
        else:
            assert code == -9, errors
    evaluate(killed)
    return outcome + check_records(killed, undisturbed, outcome.fault)


def evaluate(workdir: Path) -> None:
    """Lets a worker score whatever is left."""
    code, _, errors = runs.run_process("eval.worker", f"--workdir={workdir}", "--once")
    assert code == 0, errors


def list_records(workdir: Path) -> list[Path]:
    """Returns where the records of a run lie in it."""
    return sorted(path.relative_to(workdir) for path in workdir.glob("eval/*/step_*.json"))


def check_records(workdir: Path, undisturbed: Path, fault: str) -> Outcome:
    """Counts records that are missing, other than an undisturbed worker's, or there twice."""
    expected, found = list_records(undisturbed), list_records(workdir)
    wrong = sum(
        path not in found or (workdir / path).read_bytes() != (undisturbed / path).read_bytes()
        for path in expected
    )
    keys = []
    for path in found:
        record = json.loads((workdir / path).read_text())
        names = ("step", "split", "protocol", "dialect", "metric_version")
        keys += [(*(record[name] for name in names), metric) for metric in record["scores"]]
    return Outcome(fault, wrong_bits=wrong, duplicates=len(keys) - len(set(keys)))
