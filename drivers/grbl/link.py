"""The wire itself: bytes there and back over TCP, telnet, a web socket or a serial line. Reads nothing out of them."""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp
import serial_asyncio_fast

from drivers.grbl.settings import Address
from orchestrator.domain.errors import MachineUnreachable

CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 1.0
CHUNK_BYTES = 4096
FRAME_BYTES_MAX = 64 << 10
UNSENT_MAX = 256
"""Pieces that wait to be sent. Flow control keeps them few; a line that takes nothing any more is dead."""

_CHATTER = (b"CURRENT_ID:", b"ACTIVE_ID:", b"PING:", b"ERROR:")
"""Frames by which ESP firmwares manage their pages; they are not the controller's words and end in no newline."""


class Link(Protocol):
    def send(self, data: bytes) -> None:
        """Never waits, and sends in order. What a dead line swallows shows as silence."""

    async def receive(self) -> bytes:
        """Some bytes; empty when the other end has hung up."""

    async def pump(self) -> None:
        """To be run beside the rest as long as the link is open; returns where there is nothing to do."""

    async def close(self) -> None: ...


Opens = Callable[[Address], Awaitable[Link]]


async def open_link(address: Address) -> Link:
    """Raises MachineUnreachable."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if address.scheme == "serial":
                return await _open_serial(address)
            if address.scheme == "ws":
                return await WebSocketLink.open(f"ws://{_host(address)}:{address.port}{address.path}")
            reader, writer = await asyncio.open_connection(address.host, address.port)
            return StreamLink(reader, writer, telnet=address.scheme == "telnet")
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        words = str(error)[:200] or type(error).__name__
        raise MachineUnreachable(
            f"The controller cannot be reached at {address.identity}: {words}"
        ) from error


def _host(address: Address) -> str:
    return f"[{address.host}]" if ":" in address.host else address.host


async def _open_serial(address: Address) -> Link:
    """Opening raises DTR, by which many boards reset. Without HUPCL it stays raised: our next opening is no reset."""
    reader, writer = await serial_asyncio_fast.open_serial_connection(
        url=address.path, baudrate=address.baud, exclusive=True
    )
    port = writer.transport.get_extra_info("serial")
    flags = termios.tcgetattr(port.fd)
    flags[2] &= ~termios.HUPCL
    termios.tcsetattr(port.fd, termios.TCSANOW, flags)
    return StreamLink(reader, writer)


class StreamLink:
    """TCP, telnet and serial: a stream of bytes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, telnet: bool = False
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._telnet = Telnet() if telnet else None

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def receive(self) -> bytes:
        while True:
            try:
                data = await self._reader.read(CHUNK_BYTES)
            except OSError:
                return b""
            if self._telnet is None or not data:
                return data
            if plain := self._telnet.strip(data):
                return plain

    async def pump(self) -> None:
        """The transport sends by itself."""

    async def close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


class Telnet:
    """Takes the other end's negotiation out of what it says. We answer none of it: the defaults suit us."""

    _IAC, _SUB, _SUB_END, _WILL, _DONT = 255, 250, 240, 251, 254

    def __init__(self) -> None:
        self._rest = bytearray()  # an order that is not complete yet
        self._inside = False  # of a sub-negotiation

    def strip(self, data: bytes) -> bytes:
        plain = bytearray()
        for byte in data:
            if not self._rest:
                if byte == self._IAC:
                    self._rest.append(byte)
                elif not self._inside:
                    plain.append(byte)
                continue
            self._rest.append(byte)
            if len(self._rest) == 2 and self._WILL <= byte <= self._DONT:
                continue
            if self._rest[1] == self._IAC and not self._inside:
                plain.append(self._IAC)
            elif self._rest[1] in {self._SUB, self._SUB_END}:
                self._inside = self._rest[1] == self._SUB
            self._rest.clear()
        return bytes(plain)


class WebSocketLink:
    """FluidNC's page port. Its frames hold pieces of the stream, in text or in bytes."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._session = session
        self._socket = socket
        self._unsent: asyncio.Queue[bytes] = asyncio.Queue(UNSENT_MAX)

    @classmethod
    async def open(cls, url: str) -> WebSocketLink:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        try:
            timeout = aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS)
            socket = await session.ws_connect(url, max_msg_size=FRAME_BYTES_MAX, timeout=timeout)
        except BaseException:
            await session.close()
            raise
        return cls(session, socket)

    def send(self, data: bytes) -> None:
        if not self._unsent.full():  # else it has been dead for long, and silence will tell
            self._unsent.put_nowait(data)

    async def pump(self) -> None:
        while not self._socket.closed:
            try:
                await self._socket.send_bytes(await self._unsent.get())
            except (OSError, aiohttp.ClientError):
                return

    async def receive(self) -> bytes:
        while True:
            try:
                frame = await self._socket.receive()
            except (OSError, aiohttp.ClientError):
                return b""
            if frame.type not in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}:
                return b""
            data = frame.data.encode() if isinstance(frame.data, str) else bytes(frame.data)
            if data and not (frame.type is aiohttp.WSMsgType.TEXT and data.startswith(_CHATTER)):
                return data

    async def close(self) -> None:
        await self._socket.close()
        await self._session.close()
