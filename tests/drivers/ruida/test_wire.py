"""Bytes of a Ruida controller, against examples that others have published, and what may leave for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ruida import wire
from drivers.ruida.wire import Register
from orchestrator.domain.errors import Rejected
from orchestrator.domain.machine import Activity
from slicing.vector import ruida
from slicing.vector.machines import CUTTERS
from slicing.vector.toolpath import ENGRAVE, Operation, Scan, Settings, Toolpath
from tests.rigs.ruida import squares

MACHINE = CUTTERS["co2-9060-ruida"]
NEVER = {
    "start": "d8 00",
    "go on": "d8 03",
    "start stored document 1": "e8 03 00 01",
    "start key pressed": "a5 50 06",
    "key released": "a5 51 05",
    "frame": "a5 53 00",
    "home": "d8 2a",
    "move the head": "d9 10 00 00 00 00 00 00 00 00 00 00 00",
    "laser pulse key": "a5 50 05",
    "change a setting": "da 01 00 26 00 00 00 00 00 00 00 00 00 00",
    "delete all documents": "e8 00 00 00 00 00",
    "delete all, as another description has it": "e8 00 00 00 00 00 01 00 00 00 00 01",
    "delete from one to another": "e8 00 00 01 00 05",
    "a start with something behind it": "d8 00 00",
    "half a command": "d8",
    "nothing but a number": "00",
    "a register that we do not read": "da 00 00 02",
    "a document's command with a byte too many": "d8 12 00",
    "and with one too few": "88 00 00 00 4e 10 00 00 00 4e",
    "absolute coordinates from the machine's zero": "d8 10",
    "name in small letters": "e7 01 65 61 62 63 64 65 66 67 00",
    "name without an end": "e7 01 45 41 42 43 44 45 46 47 48",
    "name of a path": "e7 01 2e 2e 2f 2e 2e 2f 45 46 00",
}
SAID = {
    "read the status": "da 00 04 00",
    "read the card": "da 00 05 7e",
    "name of document 200": "e8 01 01 48",
    "delete document 3": "e8 00 00 03 00 03",
    "store": "e8 02",
    "under this name": "e7 01 45 41 42 43 44 45 46 37 00",
    "stop": "d8 01",
    "pause": "d8 02",
}


def a_document() -> bytes:
    return ruida.write(squares(3), MACHINE)


# --- bytes on the wire -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "scrambled", "magic"),
    [
        ("cc", "c6", 0x88),  # acknowledged, and the three other single bytes
        ("cd", "46", 0x88),
        ("ce", "c8", 0x88),
        ("cf", "48", 0x88),
        ("d8 12 f0", "d2 9b fa", 0x88),  # the first bytes of LibLaserCut's files
        ("da 00 04 00", "d4 89 8d 89", 0x88),  # seen on a 644XS, like the next
        ("da 01 04 00 00 00 04 08 01", "d4 09 8d 89 89 89 8d 81 09", 0x88),
        ("da 00 05 7e", "4b 12 96 70", 0x11),
    ],
)
def test_bytes_are_scrambled_as_others_have_seen_them(plain: str, scrambled: str, magic: int) -> None:
    assert wire.swizzle(bytes.fromhex(plain), magic) == bytes.fromhex(scrambled)


@given(st.binary(), st.sampled_from(wire.MAGICS))
def test_unscrambling_undoes_scrambling(data: bytes, magic: int) -> None:
    assert wire.unswizzle(wire.swizzle(data, magic), magic) == data


def test_a_packet_begins_with_the_sum_of_its_scrambled_bytes() -> None:
    assert wire.packet(bytes.fromhex("da 00 04 00"), 0x88) == bytes.fromhex("02 73 d4 89 8d 89")


@pytest.mark.parametrize("size", [0, 1471])
def test_what_does_not_fit_into_a_packet_is_an_error(size: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        wire.packet(bytes(size), 0x88)


@given(st.integers(0, (1 << 35) - 1))
def test_numbers_are_read_back(value: int) -> None:
    assert wire.whole(wire.number(value, 5)) == value


@given(st.binary(min_size=1))
def test_commands_together_are_the_stream(stream: bytes) -> None:
    found = list(wire.commands(stream))

    assert b"".join(found) == stream
    assert all(command[0] >= 0x80 for command in found[1:])
    assert all(max(command[1:], default=0) < 0x80 for command in found)


# --- what may leave --------------------------------------------------------------------------------


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_what_we_say_may_leave(said: str) -> None:
    assert wire.may_leave(bytes.fromhex(said))


@pytest.mark.parametrize("never", NEVER.values(), ids=NEVER)
def test_nothing_else_may(never: str) -> None:
    assert not wire.may_leave(bytes.fromhex(never))


@given(
    st.sampled_from([b"\xd8\x00", b"\xd8\x03", b"\xe8\x03", b"\xa5\x50", b"\xa5\x51", b"\xd9", b"\xd8\x2a"]),
    st.binary(max_size=20),
)
def test_no_start_key_or_move_may_leave_whatever_follows_it(start: bytes, others: bytes) -> None:
    assert not wire.may_leave(start + others)
    assert not any(map(wire.may_leave, wire.commands(start)))


@given(st.binary(min_size=1, max_size=16))
def test_only_known_commands_of_their_right_length_may_leave(command: bytes) -> None:
    if wire.may_leave(command):
        assert command[0] >= 0x80
        assert max(command[1:], default=0) < 0x80
        assert command[:2] not in {b"\xd8\x00", b"\xd8\x03", b"\xe8\x03"}
        assert command[0] not in {0xA5, 0xD9}


def test_all_that_our_own_writer_writes_may_leave() -> None:
    shaded = Operation(
        kind=ENGRAVE,
        key="fill",
        settings=Settings(speed_mm_s=300, power_permille=300, air=False),
        scans=_rows(),
    )
    both = Toolpath(machine=MACHINE.name, material="ply", operations=(shaded, *squares(2).operations))

    document = ruida.write(both, MACHINE)

    assert [c.hex() for c in wire.commands(document) if not wire.is_of_a_document(c)] == []
    wire.storable(document)


def _rows() -> tuple[Scan, ...]:
    return tuple(Scan(y=float(y), spans=np.array([[1.0, 30.0, 0.5], [30.0, 31.0, 1.0]])) for y in range(3))


# --- documents -------------------------------------------------------------------------------------


def test_a_document_is_sent_only_behind_store_under_this_name() -> None:
    document = a_document()

    opening, *pieces = wire.packets(document, "EABCDEF2")

    assert opening == b"\xe8\x02\xe7\x01EABCDEF2\x00"
    assert b"".join(pieces) == document


def test_packets_hold_whole_commands_and_are_as_large_as_they_may() -> None:
    pieces = list(wire.packets(ruida.write(squares(400), MACHINE), "EABCDEF2"))

    assert max(map(len, pieces)) <= 998
    assert min(map(len, pieces[1:-1])) > 998 - 16
    assert all(piece[0] >= 0x80 for piece in pieces)


@pytest.mark.parametrize(
    "put", ["d8 00", "e8 03 00 01", "a5 50 06", "e8 00 00 00 00 00", "d7", "da 00 04 00"]
)
def test_a_document_with_anything_else_in_it_is_rejected(put: str) -> None:
    commands = list(wire.commands(a_document()))
    commands.insert(5, bytes.fromhex(put))

    with pytest.raises(Rejected, match=put[:5].upper()):
        list(wire.packets(b"".join(commands), "EABCDEF2"))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xd7", id="an end only"),
        pytest.param(a_document()[:-1], id="no end"),
        pytest.param(a_document()[2:], id="no beginning"),
        pytest.param(wire.swizzle(a_document(), 0x88), id="already scrambled"),
        pytest.param(b"G21\nG90\nM4 S0\n", id="G-code"),
        pytest.param(b"\x00" + a_document(), id="something before it"),
    ],
)
def test_what_is_no_document_of_ours_is_rejected(document: bytes) -> None:
    with pytest.raises(Rejected):
        wire.storable(document)


@pytest.mark.parametrize(
    "name", ["", "E", "EABCDEF", "EABCDEF23", "eabcdef2", "E/BCDEF2", "E\x00BCDEF2", "EÉBCDEF"]
)
def test_a_name_that_a_controller_would_change_is_rejected(name: str) -> None:
    with pytest.raises((Rejected, UnicodeEncodeError)):
        next(wire.packets(a_document(), name))


@given(st.text(min_size=1, max_size=40))
def test_a_run_has_a_name_of_eight_letters_that_may_leave(remote_name: str) -> None:
    name = wire.document_name(remote_name)

    assert wire.may_leave(b"\xe7\x01" + name.encode() + b"\x00")
    assert name == wire.document_name(remote_name)


def test_names_of_runs_differ() -> None:
    tokens = [f"fl-0123456789ab-{number:06x}.rd" for number in range(5000)]

    assert len(set(map(wire.document_name, tokens))) == len(tokens)


# --- registers -------------------------------------------------------------------------------------


def test_a_register_is_asked_by_its_address_and_its_answer_known_by_it() -> None:
    answer = bytes.fromhex("da 01 04 00 00 00 04 08 01")

    assert wire.ask(Register.STATUS) == bytes.fromhex("da 00 04 00")
    assert wire.counted(wire.answer_to(Register.STATUS, answer) or b"") == 0x0001_0401
    assert wire.answer_to(Register.JOBS, answer) is None
    assert wire.answer_to(Register.STATUS, b"\xcc") is None
    assert wire.answer_to(Register.STATUS, answer[:4]) is None


@given(st.binary(max_size=40), st.sampled_from(Register), st.integers(1, 200))
def test_whatever_comes_is_read_or_passed_by(datagram: bytes, register: Register, place: int) -> None:
    value = wire.answer_to(register, datagram)
    name = wire.name_at(place, wire.ask_name(place) + datagram)

    assert value is None or wire.counted(value) is None or 0 <= (wire.counted(value) or 0) < 1 << 32
    assert name is None or name.isprintable()


@pytest.mark.parametrize("value", [b"", b"\x00\x00", b"\x00\x00\x00\x00\x80", b"MEERK40T\x00"])
def test_what_is_no_number_is_none(value: bytes) -> None:
    assert wire.counted(value) is None


@pytest.mark.parametrize(
    ("value", "wanted"), [(b"MEERK40T\x00", "MEERK40T"), (b"\x00", ""), (b"\x01\x02", ""), (b"\xff", "")]
)
def test_text_ends_at_its_zero(value: bytes, wanted: str) -> None:
    assert wire.text(value) == wanted


def test_a_name_is_known_by_the_place_that_was_asked_for() -> None:
    assert wire.name_at(3, b"\xe8\x01\x00\x03EABCDEF2\x00") == "EABCDEF2"
    assert wire.name_at(4, b"\xe8\x01\x00\x03EABCDEF2\x00") is None


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        # One 644XS, watched through a job, a pause and a stop.
        (0x0000_0000, Activity.IDLE),
        (0x0001_0401, Activity.PRINTING),
        (0x0041_0403, Activity.PAUSED),
        (0x0001_0403, Activity.PAUSED),
        (0x0083_0401, Activity.PRINTING),
        (0x0001_0405, Activity.FINISHING),
        (0x0051_0600, Activity.IDLE),
        (0x0001_0600, Activity.IDLE),
        # MeerK40t's emulator: rest, hold
        (22, Activity.IDLE),
        (23, Activity.PAUSED),
        (0x0100_0000, Activity.BUSY),
    ],
)
def test_status_words_are_read_as_they_were_seen(word: int, wanted: Activity) -> None:
    assert wire.activity(word) is wanted
    assert wire.is_stopping(word) == (word == 0x0051_0600)
