"""One program on the workers of a machine: the shell lines that install, start, watch and stop it.

The program is detached, so that a broken ssh connection costs the launcher's view of it and not
the run; its process id, log and exit status lie in files beside the code.
"""

import dataclasses
import shlex

SOURCE_ARCHIVE = "qlae.tar.gz"
DIRECTORY = "qlae"
PYTHON = "python3.11"  # The lock is resolved for CPython 3.11.
_WAIT_FOR_RUN_SECONDS = 3600
EXIT_MARK = "[launch] exit status"

# Unpacks the source and makes its environment from the lock.
INSTALL = f"""set -e
mkdir -p {DIRECTORY}
tar -xzf {SOURCE_ARCHIVE} -C {DIRECTORY}
cd {DIRECTORY}
if ! {PYTHON} -c "import ensurepip" 2>/dev/null; then
sudo apt-get -qq update
sudo apt-get -qq -o DPkg::Lock::Timeout=600 install -y {PYTHON} {PYTHON}-venv
fi
{PYTHON} -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
--require-hashes -r requirements.lock"""


@dataclasses.dataclass(frozen=True)
class Job:
    """A Python module with its flags, and the environment it needs."""

    name: str
    arguments: tuple[str, ...]  # "-m", "experiments.train", "--config=...", ...
    environment: tuple[tuple[str, str], ...] = ()

    def command_line(self, python: str) -> str:
        """The program as one shell-quoted line."""
        settings = tuple(f"{key}={value}" for key, value in self.environment)
        return shlex.join(("env", *settings, python, *self.arguments))

    @property
    def start(self) -> str:
        """Starts the program unless it runs already: it may be sent again to all workers."""
        run = f"{self.command_line('.venv/bin/python')} >{self.name}.log 2>&1"
        wrapped = f"{run}; echo $? >{self.name}.exit"
        return "\n".join(
            [
                f"cd {DIRECTORY} || exit 1",
                f"if {self._alive}; then exit 0; fi",
                f"rm -f {self.name}.exit",
                f"nohup setsid bash -c {shlex.quote(wrapped)} </dev/null >/dev/null 2>&1 &",
                f"echo $! >{self.name}.pid",
            ]
        )

    @property
    def is_started(self) -> str:
        """Succeeds on a worker where the program runs, or ran to its end."""
        return f"cd {DIRECTORY} && ( [ -e {self.name}.exit ] || {self._alive} )"

    @property
    def follow(self) -> str:
        """Prints the log until the program ends, then its exit status behind `EXIT_MARK`."""
        pid = f'"$(cat {self.name}.pid)"'
        status = f"$(cat {self.name}.exit 2>/dev/null || echo unknown)"
        return "\n".join(
            [
                f"cd {DIRECTORY} || exit 1",
                f"tail -n +1 -F -s 0.2 --pid={pid} {self.name}.log 2>/dev/null",
                f'echo "{EXIT_MARK} {status}"',
            ]
        )

    @property
    def report(self) -> str:
        """Prints how the program ended on this worker and the end of its log."""
        status = f"$(cat {self.name}.exit 2>/dev/null || echo unknown)"
        heading = f'echo "--- $(hostname): exit status {status}"'
        return f"cd {DIRECTORY} && {heading} && tail -n 15 {self.name}.log"

    @property
    def halt(self) -> str:
        """Ends the program and all it started."""
        group = f'-- -"$(cat {self.name}.pid)"'
        return "\n".join(
            [
                f"cd {DIRECTORY} || exit 0",
                f"kill -TERM {group} 2>/dev/null",
                f"for _ in $(seq 60); do kill -0 {group} 2>/dev/null || break; sleep 0.5; done",
                f"kill -KILL {group} 2>/dev/null",
                f"rm -f {self.name}.exit {self.name}.pid",
            ]
        )

    @property
    def _alive(self) -> str:
        return f'kill -0 "$(cat {self.name}.pid 2>/dev/null)" 2>/dev/null'


def make_train_job(config: str, workdir: str, overrides: tuple[str, ...]) -> Job:
    """The training program; TPU metadata tells each worker its place among the others."""
    flags = (f"--config={config}", f"--workdir={workdir}", *overrides)
    environment = (("JAX_PLATFORMS", "tpu,cpu"),)  # Never fall back to training on a host CPU.
    return Job("train", ("-m", "experiments.train", *flags), environment)


def make_evaluate_job(workdirs: tuple[str, ...], platform: str) -> Job:
    """The side-car evaluator; `platform` ("cpu" or "tpu,cpu") is what JAX must use."""
    flags = tuple(f"--workdir={workdir}" for workdir in workdirs)
    # Training may still be waiting for its machines when the evaluator comes up.
    arguments = ("-m", "eval.worker", *flags, f"--wait={_WAIT_FOR_RUN_SECONDS}")
    return Job("evaluate", arguments, (("JAX_PLATFORMS", platform),))
