"""What Linux says of a process."""

from pathlib import Path

STATE, START = 0, 19  # of what `read_stat` returns; the start in ticks since the machine began


def read_stat(pid: int | str) -> list[str]:
    """Returns the fields of `/proc/PID/stat` from the third on, the process's state.

    Args:
        pid: of a process, or "self".

    Raises:
        OSError: there is no such process, or no `/proc`.
    """
    # The second, in brackets, is the name, which may hold anything.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
