"""A Firestore proxy in front of a test's own emulator."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc

from local_stack.firestore_proxy.emulator_link import EmulatorLink
from local_stack.firestore_proxy.journal import Journal
from local_stack.firestore_proxy.server import start_server
from local_stack.loopback import free_port

GUARD_SECONDS = 60
"""Only a failing test waits this long."""


@asynccontextmanager
async def served_proxy(
    emulator: grpc.GenericRpcHandler, journal: Journal, save: Callable[[], None]
) -> AsyncIterator[tuple[EmulatorLink, grpc.aio.Channel]]:
    """Run the emulator's gRPC server and a proxy; yield its link, and a program's channel to its port."""
    server, port = grpc.aio.server(), free_port()
    server.add_generic_rpc_handlers((emulator,))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    link = EmulatorLink(address, journal, save=save)
    keeping = asyncio.create_task(link.keep_connected())
    proxy = await start_server(link, listen=f"127.0.0.1:{port}")
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            await link.channel(GUARD_SECONDS)
            yield link, channel
    finally:
        await channel.close()
        await proxy.stop(None)
        keeping.cancel()
        await asyncio.wait((keeping,))
        await server.stop(None)
