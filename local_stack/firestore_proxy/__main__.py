"""Run the proxy as a process."""

import argparse
import asyncio
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from local_stack.firestore_proxy.emulator_link import EmulatorLink
from local_stack.firestore_proxy.exports import FirestoreExports
from local_stack.firestore_proxy.journal import Journal
from local_stack.firestore_proxy.server import start_server
from local_stack.firestore_proxy.web_server import WebServer
from local_stack.loopback import LOOPBACK

logger = structlog.get_logger(__name__)

_SYNC_SECONDS = 1.0


async def serve(*, port: int, browser_port: int, link: EmulatorLink, journal: Journal) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = await start_server(link, listen=f"{LOOPBACK}:{port}")
    web_server = WebServer(link)
    await web_server.start(LOOPBACK, browser_port)
    connecting = asyncio.create_task(link.keep_connected())
    syncing = asyncio.create_task(keep_synced(journal))
    logger.info("proxy_started", port=port, browser_port=browser_port)
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((stopped, connecting), return_when=asyncio.FIRST_COMPLETED)
    if connecting.done():
        connecting.result()
    await web_server.stop()
    await server.stop(grace=0.5)
    connecting.cancel()
    syncing.cancel()
    with suppress(OSError):
        journal.sync()
    journal.close()
    logger.info("proxy_stopped")


async def keep_synced(journal: Journal, *, interval_seconds: float = _SYNC_SECONDS) -> None:
    """Write new records to the disk in an endless loop: a power failure loses the last ones only.

    The first time, these are the records that a killed process has left.
    """
    synced = -1
    while True:
        await asyncio.sleep(interval_seconds)
        appended = journal.appended
        if appended == synced:
            continue
        try:
            await asyncio.to_thread(journal.sync)
            synced = appended
        except OSError as error:
            logger.error("journal_not_synced", reason=str(error))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_stack.firestore_proxy")
    parser.add_argument("--listen", type=int, required=True, metavar="PORT")
    parser.add_argument("--listen-browsers", type=int, required=True, metavar="PORT")
    parser.add_argument("--emulator", required=True, metavar="HOST:PORT")
    parser.add_argument("--project", required=True, metavar="ID")
    parser.add_argument("--exports", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--journal", type=Path, required=True, metavar="FOLDER")
    given = parser.parse_args()
    journal = Journal(given.journal)
    exports = FirestoreExports(given.exports, given.journal)
    link = EmulatorLink(given.emulator, journal, save=partial(exports.export, given.emulator, given.project))
    asyncio.run(serve(port=given.listen, browser_port=given.listen_browsers, link=link, journal=journal))


if __name__ == "__main__":
    main()
