"""Run the proxy as a process."""

import argparse
import os
import threading

import structlog

from common.shutdown_signals import on_shutdown_signals
from local_stack.loopback import LOOPBACK
from local_stack.pubsub_proxy.push_relay import PushRelay
from local_stack.pubsub_proxy.server import start_proxy

logger = structlog.get_logger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_stack.pubsub_proxy")
    parser.add_argument("--listen", type=int, required=True, metavar="PORT")
    parser.add_argument("--emulator", required=True, metavar="HOST:PORT")
    parser.add_argument("--listen-pushes", type=int, metavar="PORT", help="for the emulator's pushes")
    parser.add_argument("--api", type=int, metavar="PORT", help="where pushes are forwarded to")
    arguments = parser.parse_args()
    stopping = threading.Event()
    on_shutdown_signals(stopping.set)
    server = start_proxy(listen=f"{LOOPBACK}:{arguments.listen}", emulator=arguments.emulator)
    if arguments.listen_pushes is not None:
        token = os.environ["DARKROOM_INTERNAL_TOKEN"]
        PushRelay(port=arguments.listen_pushes, api_port=arguments.api, token=token).start()
    logger.info("proxy_started", port=arguments.listen)
    stopping.wait()
    server.stop(grace=0.5).wait()
    logger.info("proxy_stopped")


if __name__ == "__main__":
    main()
