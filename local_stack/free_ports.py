"""Choice of free TCP ports on the loopback interface."""

import random
import socket
from contextlib import closing

from local_stack.errors import PortTakenError

LOOPBACK = "127.0.0.1"

# Below Linux's ephemeral port range (32768 and up): no client socket on this machine can take the
# port between choosing it and listening on it.
_FIRST_PORT, _LAST_PORT = 20000, 32000


def free_port() -> int:
    """Return a port that was free when checked. Raises PortTakenError when none is found."""
    generator = random.SystemRandom()
    for _ in range(200):
        port = generator.randint(_FIRST_PORT, _LAST_PORT)
        if is_free(port):
            return port
    raise PortTakenError(f"No free port was found between {_FIRST_PORT} and {_LAST_PORT} on {LOOPBACK}.")


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen on the port now (connections of a server that just ended
    do not count).
    """
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
    return True
