"""Ports nobody uses, and a way to end a child with its parent."""

from __future__ import annotations

import ctypes
import signal
import socket
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def free_ports(count: int) -> list[int]:
    """So many different free loopback ports; another program may still take one before it is used."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


def dies_with_us(how: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn`: the child gets this signal when our thread ends, so that a killed test run leaves nothing behind.

    None outside the main thread: there the signal would come when that thread ends.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    libc = ctypes.CDLL(None)

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, how)

    return bind
