"""What a refusal means: the few words by which the cloud's errors are told apart.

Only lack of capacity and passing faults are worth another try; an unknown error is taken as final,
so that a mistake is never repeated at cost.
"""

import dataclasses
import enum
import re

from qlae.common.errors import RunFailed, StorageError, UserError


class Fault(enum.Enum):
    """Why a command was refused."""

    NETWORK = "no network here"
    PERMISSION = "permission denied"
    QUOTA = "over quota"
    EXISTS = "the name is taken"
    INVALID = "invalid request"
    ABSENT = "not found"
    CAPACITY = "no capacity"
    PASSING = "a passing fault of the service"
    UNKNOWN = "failed"


RETRIED = frozenset({Fault.CAPACITY, Fault.PASSING, Fault.NETWORK})
# No look at a machine succeeded, and it may be as well as before.
UNSEEN = frozenset({Fault.NETWORK, Fault.PASSING, Fault.UNKNOWN})


@dataclasses.dataclass(frozen=True)
class Sign:
    """Words in an error's text (a regular expression, lower case) and where they were seen."""

    fault: Fault
    words: str
    source: str


_GCLOUD = "printed by google-cloud-cli 528"
_TPU_DOCS = "Cloud TPU, Troubleshoot queued resources"
_TPU_QUOTA = "Cloud TPU, Quotas"
_GCE = "Compute Engine, Resource availability errors"
_RPC = "google.rpc.Code"

# The first that matches decides. The network comes first: without it, gcloud advises to log in.
SIGNS: tuple[Sign, ...] = (
    Sign(Fault.NETWORK, "name ?resolution|failed to resolve|unable to find the server", _GCLOUD),
    Sign(Fault.NETWORK, "unable to connect to the server", "printed by kubectl 1.32"),
    Sign(Fault.NETWORK, "network is unreachable|no route to host", "errno(3)"),
    Sign(Fault.NETWORK, "connection (reset|refused|aborted)|remote end closed", _GCLOUD),
    Sign(Fault.NETWORK, "max retries exceeded|timed out|no answer in", _GCLOUD),
    Sign(Fault.NETWORK, "problem refreshing your current auth tokens.*(connection|http)", _GCLOUD),
    Sign(Fault.PERMISSION, "permission[_ ]denied|does not have permission|forbidden", _RPC),
    Sign(Fault.PERMISSION, "unauthenticated: |reauthentication|gcloud auth login", _GCLOUD),
    Sign(Fault.PERMISSION, "insufficient authentication scopes", "Compute Engine, Access scopes"),
    Sign(Fault.PERMISSION, "has not been used in project", "Service Usage, SERVICE_DISABLED"),
    Sign(Fault.QUOTA, "quota limit|quota_exceeded|exceeded quota", _TPU_QUOTA),
    Sign(Fault.QUOTA, "quota .*(exceeded|exhausted)", _TPU_QUOTA),
    Sign(Fault.EXISTS, "already[_ ]exists", _RPC),
    Sign(Fault.INVALID, "accelerator .*was not found in zone", _TPU_DOCS),
    Sign(Fault.INVALID, "invalid_argument|invalid (value|argument|choice)", _RPC),
    Sign(Fault.INVALID, "unrecognized arguments|must be specified|failed_precondition", _GCLOUD),
    Sign(Fault.ABSENT, "not[_ ]found|could not be found", _RPC),
    Sign(Fault.CAPACITY, "no more capacity|insufficient (reserved )?capacity", _TPU_DOCS),
    Sign(Fault.CAPACITY, "resource_exhausted|not (have )?enough resources", _RPC),
    Sign(Fault.CAPACITY, "stockout|zone_resource_pool_exhausted|resource_availability", _GCE),
    Sign(Fault.PASSING, "unavailable|deadline_exceeded|internal error|rate limit", _RPC),
    Sign(Fault.PASSING, r"\b429\b|\b50[0234]\b", "HTTP status codes"),
)

_ADVICE = {
    Fault.PERMISSION: "run `gcloud auth login`, and ask for the roles TPU Admin and Service "
    "Account User in this project",
    Fault.QUOTA: "ask for more quota, take a smaller topology, or another zone",
    Fault.EXISTS: "choose another --name, delete it first, or go on with it: --attach",
    Fault.INVALID: "correct the flags",
    Fault.ABSENT: "check the project, the zone (does it offer this TPU?) and the cluster",
}


def classify(message: str) -> Fault:
    """Says which fault a command's error text is."""
    text = " ".join(message.lower().split())
    return next((sign.fault for sign in SIGNS if re.search(sign.words, text)), Fault.UNKNOWN)


def make_final_error(what: str, message: str) -> Exception:
    """Returns the one-line error of a refusal that is not to be retried."""
    fault = classify(message)
    line = " ".join(message.split())[-300:]
    if fault in _ADVICE:
        return UserError(f"{what}: {fault.value}: {line}; {_ADVICE[fault]}")
    if fault in RETRIED:
        return StorageError(f"{what}: {fault.value}: {line}")
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
