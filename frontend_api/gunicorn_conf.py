"""gunicorn's production configuration; the same file serves the local stack, told apart by the environment."""

import gc
import os
import resource
import signal
import threading
from typing import Any

# 127.0.0.1 unless told otherwise: on a laptop nobody else should find an API that believes every caller.
bind = f"{os.environ.get('DARKROOM_BIND_HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"

# Threads, because each request mostly waits for Firestore and Pub/Sub; one process per instance, because Cloud Run
# adds instances and every process would bring its own gRPC channels.
# It is gthread, but no thread waits for a caller who sends slowly.
worker_class = "frontend_api.buffering_worker.BufferingWorker"
workers = int(os.environ.get("DARKROOM_API_WORKERS", "1"))
# Whoever waits for changes holds a thread that sleeps. These come on top, so that a submission always finds one free;
# how many work at once is the request gate's matter. docs/adr/0011 has the figures.
_most_waiting = int(os.environ.get("DARKROOM_MAX_WAITING", "600"))
threads = int(os.environ.get("DARKROOM_API_THREADS", "32")) + _most_waiting
# Those between two requests come on top.
worker_connections = threads + 1_000

# Google's clients are made in the worker process: gRPC hangs in a child that was forked after its first use.
preload_app = False

# Above the longest wait inside a request (Firestore, then Pub/Sub, 5 s each), below Cloud Run's own limit.
timeout = 60
# Cloud Run kills 10 s after SIGTERM.
graceful_timeout = 8
# Longer than the load balancer keeps idle connections, so that it is never the one to be surprised.
keepalive = 620

# Heartbeat files in memory: on a slow disk gunicorn mistakes a busy disk for a dead worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108 (not a temporary file of ours: gunicorn makes it private)
limit_request_line = 8_190
limit_request_fields = 64

# The application writes one line per request itself, in the project's own shape.
accesslog = None
errorlog = "-"
loglevel = "warning"


def on_starting(_server: Any) -> None:
    """Ask for as many open files as connections may need: many systems begin with 1,024, however many they allow."""
    files = worker_connections + 2 * _most_waiting + 256  # a place to wait at is a pair of sockets
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files if most == resource.RLIM_INFINITY else min(files, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def post_worker_init(worker: Any) -> None:
    """Prepare the worker once the application is loaded.

    Callers who wait for changes are released when the worker is asked to stop: gunicorn would wait for them. What
    was imported is left out of garbage collections: visiting it took some 50 ms of a request each time.
    """
    gc.collect()
    gc.freeze()
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        _end_waits_at(number, worker)
    signal.siginterrupt(signal.SIGTERM, False)  # as gunicorn has it; setting a handler undoes it


def _end_waits_at(number: signal.Signals, worker: Any) -> None:
    stop: Any = signal.getsignal(number)

    def end_waits_and_stop(received: int, frame: Any) -> None:
        # On a thread of its own: this one may have been interrupted while it holds a lock that is needed there.
        threading.Thread(target=worker.wsgi.extensions["darkroom"].follow_task.end_all).start()
        stop(received, frame)

    signal.signal(number, end_waits_and_stop)
