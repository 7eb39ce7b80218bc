"""gunicorn's configuration. Environment variables adapt it to production and the local stack."""

import gc
import os
import resource
import signal
import socket
import sys
import threading
from typing import Any

from common.shared_values import SHARED

_LOOPBACK = "127.0.0.1"
# How long a thread may compute while others wait. A request waits for a thread that validates a large
# body after each call to Firestore or Pub/Sub: with Python's default, up to 5 ms each time.
_SWITCH_SECONDS = 0.001


def _is_free_on_ipv6(port: int) -> bool:
    """Return whether IPv6's loopback address exists and no other program listens on it."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind(("::1", port))
    except OSError:
        return False
    return True


# Loopback by default: on a laptop, no other machine should reach an API that accepts every caller.
_host, _port = os.environ.get("DARKROOM_BIND_HOST", _LOOPBACK), int(os.environ.get("PORT", "8000"))
bind = [f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"]
if _host == _LOOPBACK and _is_free_on_ipv6(_port):
    bind.append(f"[::1]:{_port}")

# Threads, because each request mostly waits for Firestore and Pub/Sub. One process per instance,
# because Cloud Run adds instances and each process would open its own gRPC channels.
# This is gthread, except that no thread waits for a caller who sends slowly.
worker_class = "frontend_api.http_server.buffering_worker.BufferingWorker"
workers = int(os.environ.get("DARKROOM_API_WORKERS", "1"))
# A caller that waits for changes holds a sleeping thread. These threads come on top, so that a
# submission always finds a free one. docs/adr/0011 has the figures.
_most_waiting = int(os.environ.get("DARKROOM_MAX_WAITING", SHARED.api.max_waiting))
# Eight for each request that runs, because requests keep theirs while they wait for a service, for
# another turn, or for a caller who reads slowly. docs/adr/0057 describes who gets them.
threads = 8 * int(os.environ.get("DARKROOM_API_THREADS", SHARED.api.threads)) + _most_waiting
# For requests without a thread, and for idle keep-alive connections.
worker_connections = threads + 2_600

# Above the longest wait in a request (Firestore, then Pub/Sub, 5 s each), below Cloud Run's limit.
timeout = 60
graceful_timeout = SHARED.cloud_run.kill_after_seconds - 2
# Longer than the load balancer keeps idle connections, so that the load balancer closes them first.
keepalive = 620

# Heartbeat files in memory: on a slow disk, gunicorn would treat a blocked write as a dead worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108 (not a temporary file of ours: gunicorn makes it private)
limit_request_line = 8_190
limit_request_fields = 64
# Browsers send the cookies of all programs on localhost.
limit_request_field_size = 65_536

# No header but X-Forwarded-Proto changes what the application reads of a request. By default, local
# callers could send SCRIPT_NAME, which hides a part of the path.
forwarder_headers = ""
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
if os.environ.get("DARKROOM_TRUSTED_PROXIES", "0") != "0":
    forwarded_allow_ips = "*"

# The application logs each request itself, in the project's format.
accesslog = None
errorlog = "-"
loglevel = "warning"


def on_starting(_server: Any) -> None:
    """Raise the limit of open files for the connections: many systems start with 1,024."""
    files = worker_connections + 2 * _most_waiting + 256  # each waiting slot is a pair of sockets
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files if most == resource.RLIM_INFINITY else min(files, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def post_worker_init(worker: Any) -> None:
    """Prepare the worker after the application is loaded.

    A stop signal releases the waiting callers, because gunicorn would wait for them. Imported
    objects are excluded from garbage collection: visiting them took about 50 ms of a request each
    time.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_SECONDS)
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        _end_waits_at(number, worker)
    signal.siginterrupt(signal.SIGTERM, False)  # gunicorn's setting; installing a handler resets it


def _end_waits_at(number: signal.Signals, worker: Any) -> None:
    stop: Any = signal.getsignal(number)

    def end_waits_and_stop(received: int, frame: Any) -> None:
        # On a separate thread: the interrupted one may hold a lock that the call needs.
        subscriptions = worker.wsgi.extensions["darkroom"].streams.subscriptions
        threading.Thread(target=subscriptions.shut_down).start()
        stop(received, frame)

    signal.signal(number, end_waits_and_stop)
