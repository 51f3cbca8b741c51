"""A TCP proxy on loopback that stands between a driver and a machine, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from urllib.parse import urlsplit

_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


class Mood(Enum):
    """What it does with every byte from now on, on connections old and new."""

    PASSES = auto()
    SWALLOWS_ANSWERS = auto()  # requests arrive, answers do not
    SWALLOWS_ALL = auto()  # a dead network: nothing arrives, nothing breaks
    ANSWERS_500 = auto()  # requests never arrive, an error comes back


class Proxy:
    """Forwards to `upstream` (a URL). `url` is where to go instead of it."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self.mood = Mood.PASSES

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Breaks every connection and listens no more."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        if self._serving:
            await asyncio.wait(self._serving, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError):
                await self._between(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._serving.discard(task)

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._upstream.hostname, self._upstream.port
        machine_reader, machine_writer = await asyncio.open_connection(host, port)
        self._writers.add(machine_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, machine_writer, writer, from_driver=True))
                group.create_task(self._pump(machine_reader, writer, machine_writer, from_driver=False))
        finally:
            machine_writer.transport.abort()
            self._writers.discard(machine_writer)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        *,
        from_driver: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(1 << 16):
                if self.mood is Mood.ANSWERS_500 and from_driver:
                    back.write(_ERROR)
                    await back.drain()
                    back.close()
                elif self.mood is Mood.PASSES or (self.mood is Mood.SWALLOWS_ANSWERS and from_driver):
                    sink.write(chunk)
                    await sink.drain()
        if self.mood in {Mood.PASSES, Mood.ANSWERS_500}:
            sink.close()


@asynccontextmanager
async def proxied(upstream: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(upstream)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.cut()
