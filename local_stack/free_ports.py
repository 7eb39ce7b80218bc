"""Choosing TCP ports on the loopback interface."""

import random
import socket
from contextlib import closing

from local_stack.errors import PortTakenError

LOOPBACK = "127.0.0.1"

# Below Linux's range for outgoing connections (32768 and up): between choosing a port and listening on it,
# no client socket on this machine can be given the same number.
_FIRST_PORT, _LAST_PORT = 20000, 32000


def free_port() -> int:
    """A port that nobody listened on a moment ago. Raises PortTakenError when none is found."""
    generator = random.SystemRandom()
    for _ in range(200):
        port = generator.randint(_FIRST_PORT, _LAST_PORT)
        if is_free(port):
            return port
    raise PortTakenError(f"No free port was found between {_FIRST_PORT} and {_LAST_PORT} on {LOOPBACK}.")


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on the port now (connections of a server just ended do not count)."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
    return True
