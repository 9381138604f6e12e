"""How long a launch waits for what, and how often it tries again."""

import dataclasses

HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Patience:
    """Waits in seconds, and the number of tries.

    Attributes:
        poll: between two looks at a state.
        provision: for a machine to become active; the request itself expires then, too.
        workers: for every worker to answer, and for one that answered before to answer again.
        command: for one remote step, such as installing.
        request: for one answer of a service.
        silence: a job that prints nothing for so long is started again.
        outage: without any network here, after which the launcher leaves the machines alone.
        first_backoff: before the first retry; doubles each time.
        longest_backoff: the longest wait before a retry.
        retries: machines made again, or jobs started again, in one launch.
        setup: a machine on which no job starts for so long deletes itself.
        longest_run: so does one whose job runs for so long,
        linger: or ended so long ago.
    """

    poll: float = 30.0
    provision: float = 24 * HOUR
    workers: float = 900.0
    command: float = 1800.0
    request: float = 180.0
    silence: float = 2 * HOUR
    outage: float = 12 * HOUR
    first_backoff: float = 30.0
    longest_backoff: float = 1800.0
    retries: int = 30
    setup: float = 2 * HOUR
    longest_run: float = 14 * 24 * HOUR
    linger: float = HOUR
