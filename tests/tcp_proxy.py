"""A TCP proxy before the tests' PostgreSQL, which can fall silent as a host does that has lost its network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit


class TcpProxy:
    """A proxy on 127.0.0.1 to a server on a local socket or port. It forwards until `silent` is set; then it accepts
    and reads everything, and neither forwards nor closes anything. Connections from before stay silent for ever."""

    def __init__(self, socket_path: str | None = None, port: int | None = None) -> None:
        self._target = socket_path, port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._forwards = asyncio.Event()
        self._forwards.set()
        self.connections = 0
        """The number of connections so far."""
        self.port = 0

    @property
    def silent(self) -> bool:
        return not self._forwards.is_set()

    @silent.setter
    def silent(self, silent: bool) -> None:
        self._forwards = asyncio.Event()
        if not silent:
            self._forwards.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections, and close the others."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(OSError, asyncio.CancelledError, ExceptionGroup):
                await self._forwards.wait()  # for ever where the proxy is silent
                path, port = self._target
                opened = asyncio.open_unix_connection(path) if path else asyncio.open_connection("127.0.0.1", port)
                there_reader, there_writer = await opened
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._copy(reader, there_writer))
                        group.create_task(self._copy(there_reader, writer))
                finally:
                    there_writer.transport.abort()
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.silent:
                await asyncio.Event().wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def run_proxy(server_url: str) -> AsyncIterator[tuple[TcpProxy, str]]:
    """Run a proxy to the server of this address, which listens on a local socket, and return it with the address of the
    same database through it."""
    parts = urlsplit(server_url)
    directory = parse_qs(parts.query)["host"][0]
    proxy = TcpProxy(f"{directory}/.s.PGSQL.5432")
    await proxy.start()
    try:
        place = f"{parts.username}@127.0.0.1:{proxy.port}"
        yield proxy, urlunsplit((parts.scheme, place, parts.path, "sslmode=disable", ""))
    finally:
        await proxy.stop()
