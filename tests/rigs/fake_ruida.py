"""A fake Ruida controller on a UDP port of loopback: scrambled bytes and sums as on the true wire, a memory for
documents, the counters, and a panel.

Three parts: what it knows, what it answers, what a person at its panel may do. It is built to be caught with: it obeys
every start that reaches it, runs at once what is sent without “store”, and deletes everything when asked to delete
number 0. All that it was told is in `log`, each start in `starts_seen`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import cast

from orchestrator.ports import Clock

IDLE, RUNS, PAUSED, TAIL = 0x0001_0600, 0x0001_0401, 0x0001_0403, 0x0001_0405
PASSING_STOP, PASSING_PAUSE = 0x0051_0600, 0x0041_0403
"""Status words as one 644XS was seen to give them."""
ACK, ERROR = b"\xcc", b"\xcd"
BEAM_SHARE = 0.8


class Mood(Enum):
    ANSWERS = auto()
    SILENT = auto()
    LOSES_ANSWERS = auto()  # it obeys, and nobody hears of it
    REFUSES = auto()  # every packet
    ANSWERS_TWICE = auto()


@dataclass
class Document:
    name: str
    body: bytes


@dataclass
class Memory:
    """All that it knows. Counters outlive a power cut, what runs does not."""

    documents: list[Document] = field(default_factory=list)
    work_seconds: int = 123_456
    beam_seconds: int = 98_765
    jobs: int = 321
    previous_seconds: int = 17
    off_seconds: float = 0.0
    running: Document | None = None
    word: int = IDLE
    passing: list[int] = field(default_factory=list)  # given once each, before `word`
    seconds_of_job: int = 0
    begun: list[str] = field(default_factory=list)


class FakeRuida(asyncio.DatagramProtocol):
    """One controller. A job does not run by itself: a test says when it gets on or ends."""

    def __init__(self, clock: Clock, *, magic: int = 0x88, tells_names: bool = True) -> None:
        self.memory = Memory()
        self.mood = Mood.ANSWERS
        self.log: list[bytes] = []
        self.sums_wrong = 0
        self.loses_packet = 0  # the so manieth from now on is lost on the way
        self.acks_lost = 0  # so many are obeyed, and their acknowledgement is lost
        self._clock = clock
        self._made_at = clock.monotonic()
        self._magic = magic
        self._tells_names = tells_names
        self._transport: asyncio.DatagramTransport | None = None
        self._opened: str | None = None
        self._storing: bytearray | None = None
        self._at_once = bytearray()
        self._gone = asyncio.Event()
        self.port = 0

    # --- the wire --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()

    async def listen(self) -> None:
        self._gone.clear()
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))
        assert self._transport is not None
        self.port = self._transport.get_extra_info("sockname")[1]

    async def vanish(self) -> None:
        """Nobody listens any more; returns when the port is free."""
        if self._transport is not None:
            self._transport.abort()
            await self._gone.wait()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.mood is Mood.SILENT or self._lost():
            return
        payload = bytes(self._unscrambled(byte) for byte in data[2:1472])
        if self.mood is Mood.REFUSES or int.from_bytes(data[:2], "big") != sum(data[2:]) & 0xFFFF:
            self.sums_wrong += self.mood is not Mood.REFUSES
            self._say(ERROR, addr)
            return
        if self.acks_lost:
            self.acks_lost -= 1
        else:
            self._say(ACK, addr)
        for answer in filter(None, map(self._obey, _commands(payload))):
            self._say(answer, addr)

    def _lost(self) -> bool:
        self.loses_packet -= 1
        return self.loses_packet == 0

    def _say(self, answer: bytes, addr: tuple[str, int]) -> None:
        if self._transport is None or self.mood is Mood.LOSES_ANSWERS:
            return
        for _ in range(2 if self.mood is Mood.ANSWERS_TWICE else 1):
            self._transport.sendto(bytes(self._scrambled(byte) for byte in answer), addr)

    def _scrambled(self, byte: int) -> int:
        swapped = (byte & 0b0111_1110) + (byte >> 7) + ((byte & 1) << 7)
        return ((swapped ^ self._magic) + 1) % 256

    def _unscrambled(self, byte: int) -> int:
        return next(plain for plain in range(256) if self._scrambled(plain) == byte)

    # --- what it answers -------------------------------------------------------------------------

    @property
    def starts_seen(self) -> list[bytes]:
        return [command for command in self.log if _starts(command)]

    def _obey(self, command: bytes) -> bytes | None:
        self.log.append(command)
        head, rest = command[:2], command[2:]
        if _starts(command):
            self._begin(self._chosen(command))
        elif head == b"\xda\x00":
            value = self._register(rest)
            return b"\xda\x01" + rest + value if value is not None else None
        elif head == b"\xe8\x01":
            place = _whole(rest) - 1
            there = self._tells_names and 0 <= place < len(self.memory.documents)
            return command + self.memory.documents[place].name.encode() + b"\x00" if there else None
        elif head == b"\xe8\x00":
            self._delete(_whole(rest[:2]))
        elif head == b"\xe8\x02":
            self._storing = bytearray()
        elif head == b"\xe7\x01":
            self._opened = rest.rstrip(b"\x00").decode()
        elif command == b"\xd8\x01":
            self.is_stopped()
        elif command == b"\xd8\x02":
            self.is_paused()
        else:
            self._takes(command)
        return None

    def _takes(self, command: bytes) -> None:
        """A part of a document: kept, or, where nobody has said “store”, run as soon as it is whole."""
        into = self._storing if self._storing is not None else self._at_once
        into += command
        if command != b"\xd7":
            return
        document = Document(self._opened or "", bytes(into))
        if self._storing is None:
            self._begin(document)
        elif _sum_is_right(document.body):
            self.memory.documents.append(document)
        self._storing, self._opened, self._at_once = None, None, bytearray()

    def _register(self, address: bytes) -> bytes | None:
        memory = self.memory
        if address == b"\x04\x00":
            return _number(memory.passing.pop(0) if memory.passing else memory.word)
        if address == b"\x05\x7f":
            return b"RDC6442G-FAKE\x00"
        on_seconds = 1_000_000 + self._clock.monotonic() - self._made_at - memory.off_seconds
        values = {
            b"\x00\x26": 900_000,
            b"\x00\x36": 600_000,
            b"\x04\x01": int(on_seconds),
            b"\x04\x02": memory.work_seconds,
            b"\x04\x03": memory.jobs,
            b"\x04\x05": len(memory.documents),
            b"\x04\x08": memory.previous_seconds,
            b"\x04\x11": memory.beam_seconds,
            b"\x05\x7e": 0x6510_6510,
        }
        return _number(values[address]) if address in values else None

    def _delete(self, place: int) -> None:
        if place == 0:
            self.memory.documents.clear()
        elif place <= len(self.memory.documents):
            del self.memory.documents[place - 1]

    def _chosen(self, command: bytes) -> Document:
        place = _whole(command[2:]) - 1 if command[:2] == b"\xe8\x03" else -1
        documents = self.memory.documents
        return documents[place] if documents and place < len(documents) else Document("", b"")

    # --- what a person at the panel may do -------------------------------------------------------

    def is_started(self, name: str) -> None:
        """Raises KeyError where there is no such document: the panel does not show it."""
        found = [document for document in self.memory.documents if document.name == name]
        if not found:
            raise KeyError(name)
        self._begin(found[0])

    def has(self, name: str) -> bool:
        return any(document.name == name for document in self.memory.documents)

    def stores_by_hand(self, name: str) -> None:
        """From a memory stick."""
        self.memory.documents.append(Document(name, b"\xd8\x12\xd7"))

    def _begin(self, document: Document) -> None:
        if self.memory.running is None:
            self.memory.running, self.memory.word, self.memory.seconds_of_job = document, RUNS, 0
            self.memory.begun.append(document.name)

    def works(self, seconds: int) -> None:
        """The job gets on."""
        self.memory.seconds_of_job += seconds
        self.memory.work_seconds += seconds
        self.memory.beam_seconds += round(seconds * BEAM_SHARE)

    def finishes(self, seconds: int) -> None:
        self.works(seconds)
        self.memory.jobs += 1
        self.memory.previous_seconds = self.memory.seconds_of_job
        self._rests()

    def is_paused(self) -> None:
        if self.memory.running is not None:
            self.memory.word, self.memory.passing = PAUSED, [PASSING_PAUSE]

    def goes_on(self) -> None:
        self.memory.word = RUNS

    def is_stopped(self) -> None:
        if self.memory.running is not None:
            self._rests()
            self.memory.passing = [PASSING_STOP]

    def is_protected(self) -> None:
        """No water: the job is dropped, and not counted."""
        self._rests()

    def loses_power(self, seconds: float) -> None:
        self._rests()
        self.memory.off_seconds += seconds
        self._storing, self._opened = None, None

    def _rests(self) -> None:
        self.memory.running, self.memory.word, self.memory.passing = None, IDLE, []


def _starts(command: bytes) -> bool:
    """Start, go on, start a stored document, the panel's keys."""
    return command[:2] in {b"\xd8\x00", b"\xd8\x03", b"\xe8\x03"} or command[:1] == b"\xa5"


def _commands(payload: bytes) -> list[bytes]:
    begins = [at for at, byte in enumerate(payload) if byte & 0x80]
    return [payload[at:end] for at, end in zip(begins, [*begins[1:], len(payload)], strict=True)]


def _sum_is_right(body: bytes) -> bool:
    at = body.rfind(b"\xe5\x05")
    return at < 0 or _whole(body[at + 2 : at + 7]) == sum(body) - sum(body[at : at + 7])


def _number(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (28, 21, 14, 7, 0))


def _whole(digits: bytes) -> int:
    return sum(digit << 7 * place for place, digit in enumerate(reversed(digits)))


@asynccontextmanager
async def fake_ruida(
    clock: Clock, *, magic: int = 0x88, tells_names: bool = True
) -> AsyncIterator[FakeRuida]:
    fake = FakeRuida(clock, magic=magic, tells_names=tells_names)
    await fake.listen()
    try:
        yield fake
    finally:
        await fake.vanish()
