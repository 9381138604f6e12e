"""One program on the workers of a machine: the shell lines that start, watch and stop it.

The program is detached, so that a broken ssh connection costs the launcher's view of it and not
the run; its process id, log and exit code lie in files beside the code. Every line of the
launcher's own begins with `MARK`: what was done is believed when it is said, never by an exit code
alone.
"""

import dataclasses
import pathlib
import shlex

from tpu_scripts.launch.patience import Patience

SOURCE_ARCHIVE = "qlae.tar.gz"
DIRECTORY = "qlae"
MARK = "[launch]"
LOG_PREFIX = "| "  # Of every line that is the job's.
GREET = f"echo '{MARK} here'"
HERE = f"{MARK} here"
_INSTALL = pathlib.Path(__file__).with_name("install.sh").read_text()
_BEAT_SECONDS = 15
_WAIT_FOR_RUN_SECONDS = 3600
_END = "/var/tmp/qlae/end"  # The machine's own deadline, see own_end.sh.


@dataclasses.dataclass(frozen=True)
class Job:
    """A Python module with its flags, and the environment it needs.

    Attributes:
        name: of its log, exit code and process id.
        arguments: "-m", "experiments.train", "--config=...", ...
        environment: variables and their values.
        workdirs: run directories that it writes.
        lock: name of the lock in requirements/ that it is installed from.
        patience: how long it may run, and the machine after it.
    """

    name: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    workdirs: tuple[str, ...] = ()
    lock: str = "tpu"
    patience: Patience = dataclasses.field(default_factory=Patience)

    def command_line(self, python: str) -> str:
        """The program as one shell-quoted line."""
        settings = tuple(f"{key}={value}" for key, value in self.environment)
        return shlex.join(("env", *settings, python, *self.arguments))

    @property
    def install(self) -> str:
        """Unpacks the source and makes its environment."""
        return f"lock={self.lock}\n{_INSTALL}"

    @property
    def check_bucket(self) -> str:
        """Writes, reads and deletes an object beside each run, as the machine's own account."""
        workdirs = shlex.join(f"--workdir={workdir}" for workdir in self.workdirs)
        return f"cd {DIRECTORY} && .venv/bin/python -m tpu_scripts.launch.bucket {workdirs}"

    @property
    def find_newest(self) -> str:
        """Prints the newest checkpoint's step."""
        return f"{self.check_bucket} --newest"

    @property
    def start(self) -> str:
        """Starts the program unless it runs or has ended: it may be sent again."""
        run = f"{self.command_line('.venv/bin/python')} >{self.name}.log 2>&1"
        linger = _set_end(self.patience.linger)
        wrapped = f"{run}; code=$?; {linger}; echo $code >{self.name}.exit"
        return "\n".join(
            [
                f"cd {DIRECTORY} || exit 1",
                f"if [ ! -e {self.name}.exit ] && ! {self._alive}; then",
                f": >{self.name}.log",
                _set_end(self.patience.longest_run),
                f"nohup setsid bash -c {shlex.quote(wrapped)} </dev/null >/dev/null 2>&1 &",
                f"echo $! >{self.name}.pid",
                "fi",
                self.tell_state,
            ]
        )

    @property
    def tell_state(self) -> str:
        """Prints `[launch] NAME STATE`: `absent`, `running`, `gone`, or `ended CODE`."""
        name = self.name
        return "\n".join(
            [
                f"cd ~/{DIRECTORY} 2>/dev/null || {{ echo '{MARK} {name} absent'; exit 0; }}",
                f'if [ -s {name}.exit ]; then echo "{MARK} {name} ended $(cat {name}.exit)"',
                f"elif {self._alive}; then echo '{MARK} {name} running'",
                f"elif [ -e {name}.pid ]; then echo '{MARK} {name} gone'",
                f"else echo '{MARK} {name} absent'; fi",
            ]
        )

    @property
    def report(self) -> str:
        """Prints the state, and the end of the log behind `LOG_PREFIX`."""
        return f"{self.tell_state}\ntail -n 15 {self.name}.log | sed 's/^/{LOG_PREFIX}/'"

    def follow(self, first_line: int) -> str:
        """Prints the log from a line (the first is 1) until the program ends, then its state.

        Between the lines a beat says every few seconds that the worker is alive.
        """
        name, beat = self.name, min(_BEAT_SECONDS, self.patience.workers / 4)
        return "\n".join(
            [
                f"cd {DIRECTORY} || exit 1",
                f"echo '{MARK} log from {first_line}'",
                f'pid="$(cat {name}.pid)"',
                f"(trap '' PIPE; while sleep {beat:g} >&2; do echo '{MARK} beat' || exit; done"
                ") 2>/dev/null &",
                "beat=$!",
                # One write a line, so that no beat stands in the middle of one.
                f'tail -n +{first_line} -F -s 0.2 --pid="$pid" {name}.log 2>/dev/null'
                f" | sed -u 's/^/{LOG_PREFIX}/'",
                "kill $beat",
                # The exit code is written a moment after the program's end.
                f"for _ in $(seq 50); do [ -s {name}.exit ] && break; sleep 0.1; done",
                self.tell_state,
            ]
        )

    @property
    def halt(self) -> str:
        """Ends the program and all it started, so that `start` starts it anew."""
        group = f'-- -"$(cat {self.name}.pid)"'
        return "\n".join(
            [
                f"if cd ~/{DIRECTORY} 2>/dev/null; then",
                f"kill -TERM {group} 2>/dev/null",
                f"for _ in $(seq 60); do kill -0 {group} 2>/dev/null || break; sleep 0.5; done",
                f"kill -KILL {group} 2>/dev/null",
                f"rm -f {self.name}.exit {self.name}.pid",
                "fi",
                self.tell_state,
            ]
        )

    @property
    def _alive(self) -> str:
        return f'kill -0 "$(cat {self.name}.pid 2>/dev/null)" 2>/dev/null'


def _set_end(seconds: float) -> str:
    """Sets the machine's own deadline; where that is not kept, this does nothing."""
    return f"{{ echo $(($(date +%s) + {seconds:.0f})) >{_END}; }} 2>/dev/null"


def make_train_job(
    config: str, workdir: str, overrides: tuple[str, ...], patience: Patience
) -> Job:
    """The training program; TPU metadata tells each worker its place among the others."""
    flags = (f"--config={config}", f"--workdir={workdir}", *overrides)
    environment = (("JAX_PLATFORMS", "tpu,cpu"),)  # Never fall back to training on a host CPU.
    arguments = ("-m", "experiments.train", *flags)
    return Job("train", arguments, environment, (workdir,), patience=patience)


def make_evaluate_job(workdirs: tuple[str, ...], platform: str, patience: Patience) -> Job:
    """The side-car evaluator; `platform` ("cpu" or "tpu,cpu") is what JAX must use."""
    flags = tuple(f"--workdir={workdir}" for workdir in workdirs)
    # Training may still be waiting for its machines when the evaluator comes up.
    arguments = ("-m", "eval.worker", *flags, f"--wait={_WAIT_FOR_RUN_SECONDS}")
    lock = platform.partition(",")[0]
    return Job("evaluate", arguments, (("JAX_PLATFORMS", platform),), workdirs, lock, patience)
