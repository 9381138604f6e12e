"""What the exit codes of all workers say together of a job."""

import enum
from collections.abc import Mapping

from qlae.common.command_line import Exit
from tpu_scripts.launch.workers import Report

# JAX ends every process with SIGABRT when another one is lost (tried with jax 0.10.2): such a code
# says nothing of its own worker.
_TAKEN_ALONG = 134
_TRIED_AGAIN = {Exit.TRY_AGAIN, Exit.STOPPED, _TAKEN_ALONG}


class Verdict(enum.Enum):
    """What is to be done."""

    DONE = "ended well"
    MISTAKE = "met a mistake of the user"
    FAILED = "failed"
    OPEN = "still runs on a worker"
    RESTART = "was stopped"
    REPLACE = "lost a worker"


def judge(reports: Mapping[str, Report]) -> tuple[Verdict, str]:
    """Returns the verdict, and the first worker that it rests on.

    The codes are those of `Exit`: of these only 75 and 143 are worth another try, beside a worker
    that vanished without one. Any 2, 1, or unknown code is final, on whichever worker it is.
    """
    codes = {worker: report.code for worker, report in reports.items()}
    kept = {Exit.DONE, Exit.MISTAKE, *_TRIED_AGAIN, None}
    rules = (
        (Verdict.MISTAKE, [w for w, code in codes.items() if code == Exit.MISTAKE]),
        (Verdict.FAILED, [w for w, code in codes.items() if code not in kept]),
        (Verdict.OPEN, [w for w, report in reports.items() if report.state == "running"]),
        (Verdict.REPLACE, [w for w, report in reports.items() if report.state == "out of reach"]),
        (Verdict.RESTART, [w for w, code in codes.items() if code != Exit.DONE]),
    )
    first = next(iter(reports))
    return next(((verdict, found[0]) for verdict, found in rules if found), (Verdict.DONE, first))
