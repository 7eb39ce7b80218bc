"""Run the proxy as a process."""

import argparse
import threading

import structlog

from common.shutdown_signals import on_shutdown_signals
from local_stack.loopback import LOOPBACK
from local_stack.pubsub_proxy.server import start_proxy

logger = structlog.get_logger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_stack.pubsub_proxy")
    parser.add_argument("--listen", type=int, required=True, metavar="PORT")
    parser.add_argument("--emulator", type=int, required=True, metavar="PORT")
    arguments = parser.parse_args()
    stopping = threading.Event()
    on_shutdown_signals(stopping.set)
    server = start_proxy(listen=f"{LOOPBACK}:{arguments.listen}", emulator=f"{LOOPBACK}:{arguments.emulator}")
    logger.info("proxy_started", port=arguments.listen, emulator_port=arguments.emulator)
    stopping.wait()
    server.stop(grace=0.5).wait()
    logger.info("proxy_stopped")


if __name__ == "__main__":
    main()
