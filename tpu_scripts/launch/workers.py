"""The workers of a machine over ssh: each step is sent to each, and believed when it says so."""

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Sequence

from qlae.common.errors import RunFailed, StorageError, UserError
from tpu_scripts.launch.cloud import Cloud, Lost, Say
from tpu_scripts.launch.job import GREET, HERE, LOG_PREFIX, MARK
from tpu_scripts.launch.patience import Patience
from tpu_scripts.launch.plan import Plan
from tpu_scripts.launch.shell import Result, Shell

_AT_ONCE = 16
_TRIES = 3
_UNREACHED = "out of reach"


@dataclasses.dataclass(frozen=True)
class Report:
    """What one worker says of its job.

    Attributes:
        state: `absent`, `running`, `gone`, `ended`, or `out of reach`.
        code: its exit code, if it has ended.
        tail: the last lines of its log.
    """

    state: str
    code: int | None = None
    tail: tuple[str, ...] = ()


class Workers:
    """Runs the steps of a plan on its workers."""

    def __init__(self, plan: Plan, shell: Shell, patience: Patience, cloud: Cloud, say: Say):
        self._plan = plan
        self._shell = shell
        self._patience = patience
        self._cloud = cloud
        self._say = say

    def greet(self) -> None:
        """Waits until every worker answers.

        Raises:
            RunFailed: some did not in the time given; they are named.
        """
        workers = self._plan.workers
        # The first makes the ssh key and sends it to the project; in parallel they would race.
        self._wait_for(workers[:1])
        self._wait_for(workers[1:])

    def prepare(self, workers: Sequence[str], digest: str) -> None:
        """Copies the source and installs from its lock.

        Args:
            workers: which of them.
            digest: sha256 of the source's archive, which each has to name.

        Raises:
            RunFailed: a worker could not; the message holds its last words.
        """
        if not workers:
            return

        def install(worker: str) -> Result:
            # A copy is believed when the installation names its sum.
            self._shell.run(self._plan.copy(worker))
            return self._ssh(self._plan.job.install, worker)

        self._must("install from its lock", workers, install, f"{MARK} installed {digest}")

    def check_bucket(self) -> int:
        """Lets the first worker write to the bucket; returns the newest step there, or -1.

        Raises:
            UserError: the bucket refuses it.
            StorageError: it does not answer.
        """
        job, first = self._plan.job, self._plan.workers[0]
        result = Result(1, "", "")
        for _ in range(_TRIES):
            result = self._ssh(job.check_bucket, first)
            if _says(result, f"{MARK} bucket"):
                return _read_newest(result)
            self._cloud.look()
            if result.returncode == 2:
                raise UserError(_find_error(result))
            self._shell.wait(self._patience.poll)
        raise StorageError(f"could not try the bucket: {_find_error(result)}")

    def find_newest_step(self) -> int:
        """Returns the newest checkpoint's step as the first worker sees it; -1 for none."""
        return _read_newest(self._ask(self._plan.job.find_newest, self._plan.workers[0]))

    def start(self, workers: Sequence[str]) -> None:
        """Starts the job where it is not."""
        job = self._plan.job
        self._must(
            f"start {job.name}",
            workers,
            lambda worker: self._ask(job.start, worker),
            *(f"{MARK} {job.name} running", f"{MARK} {job.name} ended"),
        )

    def halt(self) -> None:
        """Ends the job on every worker that can be reached."""
        self._map(lambda worker: self._ask(self._plan.job.halt, worker), self._plan.workers)

    def ask(self, script: str | None = None) -> dict[str, Report]:
        """Asks every worker what became of the job."""
        script = self._plan.job.tell_state if script is None else script
        results = self._map(lambda worker: self._ask(script, worker), self._plan.workers)
        return {worker: self._read(result) for worker, result in results.items()}

    def _read(self, result: Result) -> Report:
        prefix = f"{MARK} {self._plan.job.name} "
        lines = result.stdout.splitlines()
        words = [line.removeprefix(prefix).split() for line in lines if line.startswith(prefix)]
        if not words:
            return Report(_UNREACHED)
        tail = tuple(line.removeprefix(LOG_PREFIX) for line in lines if line.startswith(LOG_PREFIX))
        state, *code = words[-1]
        return Report(state, int(code[0]) if code and code[0].isdigit() else None, tail)

    def _wait_for(self, workers: Sequence[str]) -> None:
        deadline = time.monotonic() + self._patience.workers
        missing = self._find_missing(workers)
        while missing:
            outages = self._cloud.outages
            self._cloud.look()
            if self._cloud.outages > outages:
                deadline = time.monotonic() + self._patience.workers
            if time.monotonic() > deadline:
                raise RunFailed(
                    f"{len(missing)} of {len(self._plan.workers)} workers of {self._plan.name} "
                    f"never came up in {self._patience.workers:g} s (slice/worker): "
                    f"{', '.join(missing)}"
                )
            self._say(f"waiting for workers {', '.join(missing)}")
            self._shell.wait(self._patience.poll)
            missing = self._find_missing(missing)

    def _find_missing(self, workers: Sequence[str]) -> list[str]:
        results = self._map(lambda worker: self._ask(GREET, worker), workers)
        return [worker for worker, result in results.items() if not _says(result, HERE)]

    def _must(
        self, what: str, workers: Sequence[str], step: Callable[[str], Result], *proofs: str
    ) -> None:
        """Sends a step to the workers, and again to those that did not say it was done."""
        tries = _TRIES
        while True:
            results = self._map(step, workers)
            failed = {w: r for w, r in results.items() if not any(_says(r, p) for p in proofs)}
            if not failed:
                return
            outages = self._cloud.outages
            self._cloud.look()
            worker, result = next(iter(failed.items()))
            why = f"worker {worker} could not {what}: {_find_error(result)}"
            tries = _TRIES if self._cloud.outages > outages else tries - 1
            if not tries:
                if not _says(self._ask(GREET, worker), HERE):
                    raise Lost(f"{self._plan.name} lost its worker {worker}")
                raise RunFailed(why)
            self._say(f"{why}: trying again")
            self._shell.wait(self._patience.poll)
            workers = list(failed)

    def _ssh(self, script: str, worker: str, seconds: float | None = None) -> Result:
        return self._shell.run(self._plan.ssh(script, worker), seconds=seconds)

    def _ask(self, script: str, worker: str) -> Result:
        return self._ssh(script, worker, self._patience.request)

    def _map(self, step: Callable[[str], Result], workers: Sequence[str]) -> dict[str, Result]:
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(workers, pool.map(step, workers), strict=True))


def _says(result: Result, proof: str) -> bool:
    return any(line.startswith(proof) for line in result.stdout.splitlines())


def _read_newest(result: Result) -> int:
    newest = [line for line in result.stdout.splitlines() if line.startswith(f"{MARK} newest ")]
    return int(newest[-1].split()[-1]) if newest else -1


def _find_error(result: Result) -> str:
    """The worker's own error line, or else the last line of all."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ") if errors else result.last_line
