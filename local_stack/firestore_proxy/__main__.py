"""Run the proxy as a process."""

import argparse
import asyncio
import signal
from pathlib import Path

import structlog

from local_stack.firestore_proxy.emulator_link import EmulatorLink
from local_stack.firestore_proxy.journal import Journal
from local_stack.firestore_proxy.server import start_server
from local_stack.firestore_proxy.web_server import WebServer
from local_stack.loopback import LOOPBACK

logger = structlog.get_logger(__name__)


async def serve(*, port: int, browser_port: int, emulator: str, journal_folder: Path) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    journal = Journal(journal_folder)
    link = EmulatorLink(emulator, journal)
    server = await start_server(link, journal, listen=f"{LOOPBACK}:{port}")
    web_server = WebServer(link)
    await web_server.start(LOOPBACK, browser_port)
    connecting = asyncio.create_task(link.keep_connected())
    logger.info("proxy_started", port=port, browser_port=browser_port)
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((stopped, connecting), return_when=asyncio.FIRST_COMPLETED)
    if connecting.done():
        connecting.result()
    await web_server.stop()
    await server.stop(grace=0.5)
    connecting.cancel()
    journal.close()
    logger.info("proxy_stopped")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_stack.firestore_proxy")
    parser.add_argument("--listen", type=int, required=True, metavar="PORT")
    parser.add_argument("--listen-browsers", type=int, required=True, metavar="PORT")
    parser.add_argument("--emulator", required=True, metavar="HOST:PORT")
    parser.add_argument("--journal", type=Path, required=True, metavar="FOLDER")
    given = parser.parse_args()
    asyncio.run(
        serve(
            port=given.listen,
            browser_port=given.listen_browsers,
            emulator=given.emulator,
            journal_folder=given.journal,
        )
    )


if __name__ == "__main__":
    main()
