"""The one place where this driver touches the wire: a datagram out, its answers in, all of it bounded.

All that leaves passes `wire.may_leave`, command by command; a document's commands leave only while a store is open.
The protocol numbers nothing, so there is one exchange at a time, and what came before it is thrown away. Only what
can be said twice is: reading, and the opening of a store. The rest is sent once.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from drivers.ruida import wire
from drivers.ruida.wire import Counters, Register
from orchestrator.domain.errors import MachineUnreachable, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.ports import Clock

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.2
WAIT_SECONDS_MAX = 5.0
"""Repeated after 0.2, 0.4, 0.8 … s, at most 5 s apart."""
STRAY_SECONDS = 0.3
"""After a repetition: how long its second answer may be on its way, which is not to be taken for the next one's."""
INBOX_MAX = 64


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the folder's docstring explains."""

    host: str
    state_path: Path | None = None
    port: int = 50200
    local_port: int = 40200
    magic: int = 0x88
    answer_seconds: float = 10.0
    poll_seconds: float = 0.5

    @staticmethod
    def of(connection: Mapping[str, Json]) -> Settings:
        """Raises Misconfigured naming the key that is wrong."""
        unknown = sorted(set(connection) - set(Settings.__dataclass_fields__))
        if unknown:
            raise Misconfigured(f"“{unknown[0]}” is no setting of a Ruida controller.", code="driver.setting")
        host, state = connection.get("host"), connection.get("state_path")
        if not isinstance(host, str) or not host or not host.isascii() or not host.isprintable():
            raise _wrong("host", "the controller's address, such as 192.168.1.100")
        if state is not None and (not isinstance(state, str) or not state):
            raise _wrong("state_path", "a file's path")
        magic = connection.get("magic", f"{Settings.magic:x}")
        magics = {f"{known:x}": known for known in wire.MAGICS}
        if not isinstance(magic, str) or magic not in magics:
            raise _wrong("magic", "one of " + ", ".join(f"“{known}”" for known in magics))
        return Settings(
            host=host,
            state_path=Path(state) if isinstance(state, str) else None,
            port=int(_within(connection, "port", 1, 65535, whole=True)),
            local_port=int(_within(connection, "local_port", 0, 65535, whole=True)),
            magic=magics[magic],
            answer_seconds=_within(connection, "answer_seconds", 0.05, 120),
            poll_seconds=_within(connection, "poll_seconds", 0.02, 10),
        )


def _within(
    connection: Mapping[str, Json], key: str, low: float, high: float, *, whole: bool = False
) -> float:
    value = connection.get(key, getattr(Settings, key))
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise _wrong(key, f"a number from {low:g} to {high:g}")
    return float(value)


def _wrong(key: str, wanted: str) -> Misconfigured:
    return Misconfigured(f"The machine's setting “{key}” must be {wanted}.", code="driver.setting")


class _Inbox(asyncio.DatagramProtocol):
    """What has come and nobody has read yet; the socket is connected, so it is from the controller."""

    def __init__(self) -> None:
        self.datagrams: asyncio.Queue[bytes | OSError] = asyncio.Queue(INBOX_MAX)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._put(data)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self._put(exc)

    def _put(self, item: bytes | OSError) -> None:
        with suppress(asyncio.QueueFull):
            self.datagrams.put_nowait(item)

    def forget(self) -> None:
        while not self.datagrams.empty():
            self.datagrams.get_nowait()


class RuidaClient:
    """A socket to one controller. Raises MachineUnreachable. The caller sees to it that only one call is under way."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._inbox = _Inbox()
        self._transport: asyncio.DatagramTransport | None = None
        self._storing = False

    async def open(self) -> None:
        loop, settings = asyncio.get_running_loop(), self._settings
        try:
            # reuse_port: each controller answers to the same port of ours, and has a socket of its own there.
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: self._inbox,
                local_addr=("0.0.0.0", settings.local_port),
                remote_addr=(settings.host, settings.port),
                family=socket.AF_INET,
                reuse_port=True,
            )
        except socket.gaierror as error:
            raise MachineUnreachable(f"The controller's name “{settings.host}” is not known.") from error
        except OSError as error:
            raise Misconfigured(
                f"The setting “local_port” names a port that cannot be used here: {error}",
                code="driver.setting",
            ) from error

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._transport = None

    # --- what can be said twice ------------------------------------------------------------------

    async def read(self, register: Register) -> bytes:
        return await self._asked(wire.ask(register), lambda datagram: wire.answer_to(register, datagram))

    async def number(self, register: Register) -> int:
        value = wire.counted(await self.read(register))
        if value is None:
            raise MachineUnreachable(f"The controller's register {register:04X} holds no number.")
        return value

    async def counters(self) -> Counters:
        return Counters(**{name: await self.number(register) for name, register in wire.COUNTERS.items()})

    async def name_at(self, place: int) -> str:
        return await self._asked(wire.ask_name(place), lambda datagram: wire.name_at(place, datagram))

    async def documents(self) -> tuple[str, ...] | None:
        """The names of all stored documents in their order; None where the controller does not tell them."""
        count = await self.number(Register.DOCUMENTS)
        if count > wire.DOCUMENTS_MAX:
            return None
        try:
            return tuple([await self.name_at(place) for place in range(1, count + 1)])
        except MachineUnreachable:
            await self.number(Register.STATUS)  # does it not answer at all, or only not to this?
            return None

    async def _asked(self, payload: bytes, wanted: Callable[[bytes], T | None]) -> T:
        """The first answer that is wanted; others are to earlier questions, or acknowledgements."""
        self._inbox.forget()
        for seconds in _waits(self._settings.answer_seconds):
            self._send(payload)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while True:
                        found = wanted(await self._hear())
                        if found is not None:
                            return found
        raise MachineUnreachable("The controller does not answer. Its address, or “magic”, may be wrong.")

    # --- storing a document ----------------------------------------------------------------------

    async def store(self, document: bytes, name: str) -> None:
        """Raises Rejected before anything leaves. After MachineUnreachable a part of it may be in the memory."""
        opening, *pieces = await asyncio.to_thread(list, wire.packets(document, name))
        try:
            await self._open_store(opening)
            for piece in pieces:
                await self.say(piece)
        finally:
            self._storing = False

    async def _open_store(self, opening: bytes) -> None:
        for tries, seconds in enumerate(_waits(self._settings.answer_seconds)):
            with suppress(_Unheard):
                await self._acknowledged(opening, seconds)
                if tries:
                    await self._clock.sleep(STRAY_SECONDS)
                return
        raise MachineUnreachable("The controller does not take the document's name.")

    # --- what is said once -----------------------------------------------------------------------

    async def say(self, payload: bytes) -> None:
        """Once. Where no acknowledgement came (MachineUnreachable) it may have been heard all the same."""
        await self._acknowledged(payload, self._settings.answer_seconds)

    async def _acknowledged(self, payload: bytes, seconds: float) -> None:
        self._inbox.forget()
        self._send(payload)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._hear()
                while len(answer) != 1:  # a late answer to an earlier question
                    answer = await self._hear()
        except TimeoutError as error:
            raise _Unheard("The controller did not acknowledge what we sent.") from error
        if answer[0] != wire.ACKNOWLEDGED:
            raise _Unheard(f"The controller refused what we sent ({answer[0]:02X}).")

    # --- the wire --------------------------------------------------------------------------------

    def _send(self, payload: bytes) -> None:
        """The one way out."""
        for command in wire.commands(payload):
            known = wire.may_leave(command)
            if not known or (wire.is_of_a_document(command) and not self._storing):
                raise Rejected(f"The command {command[:4].hex(' ').upper()} never leaves for a laser.")
            if wire.opens_store(command):
                self._storing = True
            elif wire.closes_store(command):
                self._storing = False
        if self._transport is None:
            raise MachineUnreachable("Not connected.")
        self._transport.sendto(wire.packet(payload, self._settings.magic))

    async def _hear(self) -> bytes:
        item = await self._inbox.datagrams.get()
        if isinstance(item, OSError):
            raise MachineUnreachable(f"Nobody listens at the controller's address: {item}") from item
        return wire.unswizzle(item[: wire.PACKET_BYTES_MAX], self._settings.magic)


class _Unheard(MachineUnreachable):
    """Sent, and not acknowledged."""


def _waits(total_seconds: float) -> Iterator[float]:
    """How long to wait after each of several tries: 0.2 s, twice as long each time, until the total is used up."""
    wait, left = FIRST_WAIT_SECONDS, total_seconds
    while left > 0:
        yield min(wait, left)
        left -= wait
        wait = min(2 * wait, WAIT_SECONDS_MAX)
