"""What a refusal means: the few words by which the cloud's errors are told apart.

Only lack of capacity and passing faults of the service are worth another try; an unknown error is
taken as final, so that a mistake is never repeated at cost.
"""

import dataclasses
import enum
import re

from qlae.common.errors import RunFailed, UserError


class Fault(enum.Enum):
    """Why a command was refused."""

    PERMISSION = "permission denied"
    QUOTA = "over quota"
    EXISTS = "the name is taken"
    INVALID = "invalid request"
    ABSENT = "not found"
    CAPACITY = "no capacity"
    PASSING = "a passing fault of the service"
    UNKNOWN = "failed"


RETRIED = frozenset({Fault.CAPACITY, Fault.PASSING})

# The first that matches decides: quota and capacity share RESOURCE_EXHAUSTED.
_SIGNS: dict[Fault, str] = {
    Fault.PERMISSION: (
        "permission_denied|permission denied|does not have permission|forbidden|unauthenticated"
        "|reauthentication|active account selected|gcloud auth login"
        "|insufficient authentication scopes|has not been used in project"
    ),
    Fault.QUOTA: "quota limit|quota_exceeded|quota exceeded|exceeded quota|quota '.*' exceeded",
    Fault.EXISTS: "already_exists|already exists",
    Fault.ABSENT: "not_found|not found|could not be found",
    Fault.INVALID: "invalid_argument|invalid (value|argument|choice)|unrecognized arguments",
    Fault.CAPACITY: (
        "no more capacity|insufficient (reserved )?capacity|resource_exhausted|stockout"
        "|zone_resource_pool_exhausted|resource_availability|not (have )?enough resources"
    ),
    Fault.PASSING: (
        "unavailable|deadline_exceeded|internal error|rate limit|connection (reset|refused)"
        r"|timed out|no answer in|\b429\b|\b50[0234]\b"
    ),
}

_ADVICE = {
    Fault.PERMISSION: "run `gcloud auth login`, and ask for the roles TPU Admin and Service "
    "Account User in this project",
    Fault.QUOTA: "ask for more quota, take a smaller topology, or another zone",
    Fault.EXISTS: "choose another --name, or delete it first",
    Fault.INVALID: "correct the flags",
    Fault.ABSENT: "check the project, the zone (does it offer this TPU?) and the cluster",
}


def classify(message: str) -> Fault:
    """Says which fault a command's error text is."""
    text = message.lower()
    return next((fault for fault, signs in _SIGNS.items() if re.search(signs, text)), Fault.UNKNOWN)


def make_final_error(what: str, message: str) -> Exception:
    """Returns the one-line error of a refusal that is not to be retried."""
    fault = classify(message)
    line = " ".join(message.split())[-300:]
    if fault in _ADVICE:
        return UserError(f"{what}: {fault.value}: {line}; {_ADVICE[fault]}")
    return RunFailed(f"{what}: {line}")


@dataclasses.dataclass
class Backoff:
    """Waits that double up to a limit, and a limit to their number."""

    first_seconds: float
    limit_seconds: float
    tries: int
    used: int = 0
    _delay: float | None = None

    def next(self, why: str) -> float:
        """Returns the next wait. Raises `RunFailed` with `why` when all tries are used."""
        if self.used >= self.tries:
            raise RunFailed(f"gave up after {self.tries} retries: {why}")
        self.used += 1
        self._delay = self.first_seconds if self._delay is None else 2 * self._delay
        return min(self._delay, self.limit_seconds)

    def succeeded(self) -> None:
        """Lets the waits start short again; the number of tries stays used."""
        self._delay = None
