"""Bytes of a Ruida controller <-> our values. Pure: no socket, no clock.

Owns how bytes are scrambled and packed, what each register and status word means, and `may_leave`: the list of all
commands that this driver can send. A command begins with a byte of 0x80 or more; all others are below.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from types import MappingProxyType

from orchestrator.domain.errors import Rejected
from orchestrator.domain.machine import Activity

PACKET_BYTES_MAX = 1472
"""One UDP packet without fragments; two of these bytes are the sum."""
PIECE_BYTES_MAX = 998
"""Of a document, in one packet: as LibLaserCut does. MeerK40t's emulator takes no more than 1024 in all."""
ACKNOWLEDGED = 0xCC
MAGICS = (0x88, 0x11, 0x38)
DOCUMENT_BYTES_MAX = 64 << 20
DOCUMENTS_MAX = 200


# --- bytes on the wire -----------------------------------------------------------------------------


@cache
def _tables(magic: int) -> tuple[bytes, bytes]:
    swizzled = bytes(((_ends_swapped(byte) ^ magic) + 1) & 0xFF for byte in range(256))
    return swizzled, bytes(swizzled.index(byte) for byte in range(256))


def _ends_swapped(byte: int) -> int:
    """With its first and its last bit exchanged."""
    return (byte & 0x7E) | (byte >> 7) | ((byte & 1) << 7)


def swizzle(data: bytes, magic: int) -> bytes:
    return data.translate(_tables(magic)[0])


def unswizzle(data: bytes, magic: int) -> bytes:
    return data.translate(_tables(magic)[1])


def packet(payload: bytes, magic: int) -> bytes:
    """As it goes out: the sum of the scrambled bytes, then these. Answers have no sum."""
    scrambled = swizzle(payload, magic)
    if not 0 < len(scrambled) <= PACKET_BYTES_MAX - 2:
        raise ValueError(f"{len(scrambled)} bytes do not fit into a packet")
    return (sum(scrambled) & 0xFFFF).to_bytes(2, "big") + scrambled


def commands(stream: bytes) -> Iterator[bytes]:
    """One after the other. What comes before the first of them is given as if it were one."""
    begin = 0
    for at in range(1, len(stream)):
        if stream[at] >= 0x80:
            yield stream[begin:at]
            begin = at
    if stream:
        yield stream[begin:]


def number(value: int, size: int) -> bytes:
    """Seven bits a byte, most significant first."""
    return bytes((value >> 7 * place) & 0x7F for place in reversed(range(size)))


def whole(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


# --- what may leave --------------------------------------------------------------------------------

STOP, PAUSE = b"\xd8\x01", b"\xd8\x02"
_STORE, _NAME, _END = b"\xe8\x02", b"\xe7\x01", b"\xd7"
_LIST, _DELETE, _READ = b"\xe8\x01", b"\xe8\x00", b"\xda\x00"
NAME_LENGTH = 8
_NAME_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")

_OF_A_DOCUMENT: Mapping[bytes, int] = MappingProxyType(
    {
        # moves and lines: absolute, relative, along x, along y
        **{
            bytes((code,)): size
            for base in (0x88, 0xA8)
            for code, size in zip(range(base, base + 4), (10, 4, 2, 2), strict=True)
        },
        **{bytes((0xC6, code)): 2 for code in (0x01, 0x02, 0x21, 0x22)},  # power
        **{bytes((0xC6, code)): 3 for code in (0x31, 0x32, 0x41, 0x42)},  # of a layer
        **{bytes((0xC6, code)): 5 for code in (0x12, 0x13)},  # delays
        **{bytes((code,)): 2 for code in (0xC2, 0xC7)},  # shade
        b"\xc9\x02": 5,  # speed
        b"\xc9\x04": 6,  # of a layer
        **{bytes((0xCA, 0x01, code)): 0 for code in (0x00, 0x01, 0x10, 0x12, 0x13, 0x30)},  # mode, air
        **{bytes((0xCA, code)): 1 for code in (0x02, 0x03, 0x10, 0x22)},  # layer, tube
        b"\xca\x06": 6,  # colour
        b"\xca\x41": 2,  # mode of a layer
        _END: 0,
        b"\xd8\x12": 0,  # coordinates count from the origin at the panel; nothing moves
        b"\xda\x01\x06\x20": 10,  # length of the lines
        b"\xe5\x05": 5,  # sum
        b"\xe7\x00": 0,
        b"\xe7\x04": 14,
        b"\xe7\x05": 1,
        **{bytes((0xE7, code)): 10 for code in (0x03, 0x06, 0x07, 0x50, 0x51)},  # extents
        **{bytes((0xE7, code)): 11 for code in (0x52, 0x53, 0x61, 0x62)},  # of a layer
        b"\xeb": 0,
        b"\xf0": 0,
        b"\xf1\x02": 1,
    }
)
"""Each command by its first bytes, with how many follow. A copy of what `slicing.vector.ruida` writes, on purpose."""


def may_leave(command: bytes) -> bool:
    """Is it one of those that this driver sends? Nothing else ever leaves.

    Not among them, and so impossible: start (D8 00), go on (D8 03), start a stored document (E8 03), the panel's
    keys (A5 …), moving the head, changing a setting, and deleting all documents (E8 00 with number 0).
    """
    return is_of_a_document(command) or _is_request(command)


def is_of_a_document(command: bytes) -> bool:
    """Then it leaves only in a document that is being stored."""
    for size in range(1, 5):
        others = _OF_A_DOCUMENT.get(command[:size])
        if others is not None and len(command) == size + others:
            return max(command[1:], default=0) < 0x80
    return False


def _is_request(command: bytes) -> bool:
    head, rest = command[:2], command[2:]
    if head == _READ:
        return rest in _REGISTERS
    if head == _LIST:
        return len(rest) == 2 and 0 < whole(rest) <= DOCUMENTS_MAX and max(rest) < 0x80
    if head == _DELETE:
        return len(rest) == 4 and rest[:2] == rest[2:] and _is_request(_LIST + rest[:2])
    if head == _NAME:
        return len(rest) == NAME_LENGTH + 1 and rest[-1] == 0 and _NAME_LETTERS.issuperset(rest[:-1])
    return command in {_STORE, STOP, PAUSE}


def opens_store(command: bytes) -> bool:
    return command == _STORE


def closes_store(command: bytes) -> bool:
    return command == _END


def storable(document: bytes) -> None:
    """Raises Rejected, naming the command, unless it is a whole document of ours."""
    if len(document) > DOCUMENT_BYTES_MAX:
        raise Rejected("The document is larger than any controller's memory.")
    *parts, last = commands(document) if document else [b""]
    if last != _END or not parts or parts[0] != b"\xd8\x12":
        raise Rejected("This is no whole document for a Ruida controller.")
    for command in parts:
        if command == _END or not is_of_a_document(command):
            raise Rejected(
                f"The document contains the command {command[:4].hex(' ').upper()}, which we never send to a laser."
            )


def packets(document: bytes, name: str) -> Iterator[bytes]:
    """What stores it under that name, each piece whole commands: the first opens the store and holds nothing of the
    document, so it can be said twice. There is no other way to send a document. Raises Rejected."""
    storable(document)
    opening = _STORE + _NAME + name.encode("ascii") + b"\x00"
    if not all(map(_is_request, commands(opening))):
        raise Rejected(f"“{name}” is no name that a controller keeps as it is.")
    yield opening
    piece = b""
    for command in commands(document):
        if len(piece) + len(command) > PIECE_BYTES_MAX:
            yield piece
            piece = b""
        piece += command
    yield piece


def document_name(remote_name: str) -> str:
    """What the panel shows for this run: eight letters and digits, the same for the same run, E first."""
    digest = hashlib.sha256(remote_name.encode()).digest()
    return "E" + base64.b32encode(digest).decode("ascii")[: NAME_LENGTH - 1]


# --- registers -------------------------------------------------------------------------------------


class Register(IntEnum):
    """Address as two groups of seven bits, written as they stand on the wire."""

    BED_X = 0x0026  # µm
    BED_Y = 0x0036
    STATUS = 0x0400
    ON_SECONDS = 0x0401  # since it was made
    WORK_SECONDS = 0x0402
    JOBS = 0x0403
    DOCUMENTS = 0x0405  # stored
    PREVIOUS_SECONDS = 0x0408  # of the job before
    BEAM_SECONDS = 0x0411
    CARD = 0x057E
    BOARD = 0x057F  # text

    @property
    def address(self) -> bytes:
        return int(self).to_bytes(2, "big")


_REGISTERS = frozenset(register.address for register in Register)


def ask(register: Register) -> bytes:
    return _READ + register.address


def answer_to(register: Register, datagram: bytes) -> bytes | None:
    """The register's value out of an unscrambled answer; None if this is the answer to something else."""
    head = b"\xda\x01" + register.address
    return datagram[4:] if datagram.startswith(head) and len(datagram) > 4 else None


def ask_name(place: int) -> bytes:
    """Of the stored document at this place, from 1."""
    return _LIST + number(place, 2)


def name_at(place: int, datagram: bytes) -> str | None:
    head = ask_name(place)
    return text(datagram[4:]) if datagram.startswith(head) and len(datagram) > 4 else None


def delete(place: int) -> bytes:
    return _DELETE + number(place, 2) * 2


def text(value: bytes) -> str:
    """Up to its zero; empty if it is none."""
    letters = value.split(b"\x00")[0]
    return letters.decode("ascii") if letters.isascii() and letters.decode("ascii").isprintable() else ""


def counted(value: bytes) -> int | None:
    """A register's number, of which controllers use 32 bits; None if it is none."""
    return whole(value) & 0xFFFFFFFF if len(value) == 5 and max(value) < 0x80 else None


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The controller's own, since it was made. That they are seconds, and when they move, is for hardware to show."""

    on_seconds: int
    work_seconds: int
    jobs: int
    beam_seconds: int
    previous_seconds: int
    documents: int

    def ran_backwards_since(self, before: Counters) -> bool:
        return any(
            getattr(self, name) < getattr(before, name)
            for name in ("on_seconds", "work_seconds", "jobs", "beam_seconds")
        )

    def worked_since(self, before: Counters) -> bool:
        return (self.work_seconds, self.jobs, self.beam_seconds) != (
            before.work_seconds,
            before.jobs,
            before.beam_seconds,
        )


COUNTERS: Mapping[str, Register] = MappingProxyType(
    {field.name: Register[field.name.upper()] for field in fields(Counters)}
)

# Status bits. MeerK40t's emulator and captures of one 644XS agree on the first two; the rest is of these captures.
RUNNING, PAUSED, TAIL = 0x1, 0x2, 0x4
STOPPING = 0x0010_0000
MOVING = 0x0100_0000


def activity(word: int) -> Activity:
    if not word & RUNNING:
        return Activity.BUSY if word & MOVING else Activity.IDLE
    if word & PAUSED:
        return Activity.PAUSED
    return Activity.FINISHING if word & TAIL else Activity.PRINTING


def is_stopping(word: int) -> bool:
    """Seen once, if at all, between a stop and rest."""
    return bool(word & STOPPING) and not word & RUNNING


def place_of(name: str, documents: Sequence[str]) -> int | None:
    """From 1, as the controller counts; None if it is not there."""
    return documents.index(name) + 1 if name in documents else None
