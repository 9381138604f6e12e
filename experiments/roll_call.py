"""Who is there, asked before JAX's runtime waits: its own timeout aborts, and names nobody."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterable, Iterator

from qlae.common.errors import StorageError, UserError

_RETRY = 0.2  # seconds
_GRACE = 10.0  # seconds that a client waits longer, to hear from process 0 who is missing


def call_roll(address: str, num_processes: int, process_id: int, timeout: float) -> None:
    """Returns once all processes have come up; process 0 listens at the address, then frees it.

    Args:
        address: host:port of process 0.
        num_processes: how many there are to be.
        process_id: which of them this is.
        timeout: in seconds.

    Raises:
        StorageError: in every process that is up, naming those that are not.
    """
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + timeout
    if process_id == 0:
        missing = _listen(int(port), num_processes, deadline)
    else:
        missing = _report(host.strip("[]"), int(port), process_id, deadline)
    if missing:
        raise StorageError(
            f"{missing} of {num_processes} did not come up at {address} within {timeout:g} s; "
            "look at their logs and start all again; --initialization_timeout waits longer"
        )


def _listen(port: int, num_processes: int, deadline: float) -> str:
    present: dict[int, socket.socket] = {}
    answers: queue.SimpleQueue[tuple[int, socket.socket]] = queue.SimpleQueue()
    with contextlib.ExitStack() as stack, _serve(port) as server:
        server.settimeout(_RETRY)
        while len(present) < num_processes - 1 and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                connection = stack.enter_context(server.accept()[0])
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                # Each in a thread of its own: a port scanner may stay silent for ever.
                threading.Thread(target=_ask, args=(connection, answers), daemon=True).start()
            while not answers.empty():
                process_id, connection = answers.get()
                present[process_id] = connection
        missing = name_processes(set(range(1, num_processes)) - set(present))
        for connection in present.values():
            with contextlib.suppress(OSError):
                connection.sendall(f"{missing}\n".encode())
                connection.recv(1)  # it closes first, so that the port is free at once
    return missing


def _ask(
    connection: socket.socket, answers: "queue.SimpleQueue[tuple[int, socket.socket]]"
) -> None:
    # Whoever is no process of the run, or died, says no number.
    with contextlib.suppress(OSError, ValueError):
        answers.put((int(connection.makefile().readline()), connection))


def _report(host: str, port: int, process_id: int, deadline: float) -> str:
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host, port), timeout=_RETRY + 1) as connection:
                connection.settimeout(deadline + _GRACE - time.monotonic())
                connection.sendall(f"{process_id}\n".encode())
                if line := connection.makefile().readline():
                    return line.strip()
        except OSError:
            pass
        time.sleep(_RETRY)
    return "process 0"


@contextlib.contextmanager
def _serve(port: int) -> Iterator[socket.socket]:
    try:
        if socket.has_dualstack_ipv6():
            server = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096
            )
        else:
            server = socket.create_server(("", port), backlog=4096)
    except OSError as error:
        raise UserError(
            f"cannot listen on port {port}: {error.strerror or error}; choose another in "
            "--coordinator_address"
        ) from error
    with server:
        yield server


def name_processes(ids: Iterable[int]) -> str:
    """Returns `process 1`, `processes 1, 3`, or nothing for none of them."""
    ids = sorted(ids)
    if not ids:
        return ""
    return ("process " if len(ids) == 1 else "processes ") + ", ".join(map(str, ids))
