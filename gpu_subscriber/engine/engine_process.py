"""Entry point of the engine process. Importing this module is cheap: only the child imports torch."""

import os
import signal
import threading
from multiprocessing.connection import Connection

from tqdm import tqdm

from common.observability.logging import configure_logging
from gpu_subscriber.engine.duplex_pipe import DuplexPipe
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.exit_codes import PARENT_EXITED
from gpu_subscriber.engine.messages import FromEngine, ToEngine


def run_engine(pipe: Connection, settings: EngineSettings) -> None:
    """Run the child, for `multiprocessing`'s spawn: serve until Shutdown, then exit with a code.

    The codes are in `exit_codes.py`. SIGINT and SIGTERM are ignored: Ctrl-C and a container's stop
    reach the whole process group, and only the parent decides which Runs to finish.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Both libraries' warnings quote prompts (truncated text, for example). The variables are read
    # on first import.
    os.environ["DIFFUSERS_VERBOSITY"] = "error"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # torch's OpenMP threads spin at each barrier for up to milliseconds. When other processes use
    # the machine, a waiting thread can hold the core that the awaited thread needs: a forward of 30
    # ms took seconds. Without any spinning, each of thousands of barriers costs a wake-up, which
    # doubles the time. A few microseconds of spinning are enough for a barrier that all threads
    # reach on time.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Mixed sizes fragment a GPU's memory if its segments cannot grow. torch reads both names.
    if "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    # A progress bar's default lock is a semaphore between processes, and this process exits without
    # cleanup.
    tqdm.set_lock(threading.RLock())
    configure_logging(process="engine", level=settings.log_level, log_format=settings.log_format)
    parent_id = os.getppid()
    # Without its parent the engine exits at once, even during a step. (Linux's parent-death signal is
    # unsuitable: it fires when the *thread* that started the engine ends.)
    to_parent: DuplexPipe[ToEngine, FromEngine] = DuplexPipe(
        pipe, on_lost=lambda: os._exit(PARENT_EXITED), peer_is_alive=lambda: os.getppid() == parent_id
    )
    to_parent.open()
    from gpu_subscriber.engine.main_loop import serve  # noqa: PLC0415 (imports torch, which the parent never does)

    exit_code = serve(to_parent, settings)
    to_parent.flush()
    # Not sys.exit: with a poisoned context torch's destructors may hang, and no cleanup is needed.
    os._exit(exit_code)
