"""The roll call, between threads of one process."""

import contextlib
import socket
import threading

import pytest

from experiments.roll_call import call_roll, name_processes
from qlae.common.errors import StorageError


def find_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def call_all(ids, num_processes, timeout, port):
    """Calls the roll as these processes; returns what each of them raised, or None."""
    raised = dict.fromkeys(ids)

    def call(process_id):
        try:
            call_roll(f"127.0.0.1:{port}", num_processes, process_id, timeout)
        except StorageError as error:
            raised[process_id] = str(error)

    threads = [threading.Thread(target=call, args=(process_id,)) for process_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def test_all_come_up_and_the_port_is_free_again():
    port = find_port()
    assert call_all(range(4), 4, 30, port) == dict.fromkeys(range(4))
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_who_is_missing_is_named_in_all_that_are_up():
    raised = call_all([0, 2], 4, 1.5, find_port())
    assert all("processes 1, 3 of 4 did not come up" in error for error in raised.values())


@pytest.mark.parametrize("says", [b"", b"GET / HTTP/1.1\r\n"])
def test_a_stranger_holds_nobody_up(says):
    port = find_port()
    stop = threading.Event()

    def knock():
        with contextlib.ExitStack() as stack:
            while not stop.wait(0.05):
                with contextlib.suppress(OSError):
                    stranger = socket.create_connection(("127.0.0.1", port), timeout=1)
                    stack.enter_context(stranger).sendall(says)

    stranger = threading.Thread(target=knock)
    stranger.start()
    try:
        assert call_all([0, 1], 2, 30, port) == {0: None, 1: None}
    finally:
        stop.set()
        stranger.join()


def test_names():
    assert name_processes([]) == ""
    assert name_processes({1}) == "process 1"
    assert name_processes({3, 1}) == "processes 1, 3"
