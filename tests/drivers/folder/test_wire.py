"""What lies in a folder, read and written word for word."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.folder import wire
from orchestrator.domain.errors import Rejected
from orchestrator.domain.machine import Activity
from orchestrator.domain.run import Cause
from orchestrator.ports import Outcome, Ticket

OURS = "fl-0123456789ab-cdef01.svg"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def a_ticket(**changes: object) -> Ticket:
    known: dict[str, object] = {
        "job_id": UUID(int=0xABCDEF),
        "member_name": "Zoë Müller",
        "file_name": "boîte.svg",
        "machine_name": "Laser 1",
        "material": "poplar plywood 3 mm",
        "seconds": 754,
        "artifact_sha256": "0123456789abcdef" * 4,
        "extension": ".svg",
    }
    return Ticket(**{**known, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("member", "material", "expected"),
    [
        ("Zoë Müller", "poplar plywood 3 mm", "fl-0123456789ab-cdef01__Zoe_Muller__poplar_plywood_3_mm"),
        ("../../etc/passwd", "a/b\\c:d", "fl-0123456789ab-cdef01__etc_passwd__a_b_c_d"),
        ("  -.", "PLA", "fl-0123456789ab-cdef01__PLA"),
        ("田中", "", "fl-0123456789ab-cdef01"),
        ("a__b", "x" * 300, "fl-0123456789ab-cdef01__a_b__" + "x" * 40),
    ],
)
def test_a_file_is_named_for_the_people_who_stand_there(member: str, material: str, expected: str) -> None:
    assert wire.base_name(OURS, a_ticket(member_name=member, material=material)) == expected


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_people_are_called_the_name_is_safe_and_short(member: str, material: str) -> None:
    name = wire.base_name(OURS, a_ticket(member_name=member, material=material)) + wire.STATE

    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,220}", name)
    assert wire.belongs_to(name, OURS)


@pytest.mark.parametrize(
    "name", ["", "../x.svg", "a b.svg", ".hidden.svg", "no-extension", "a__b.svg", "x" * 99 + ".svg"]
)
def test_a_name_that_is_none_of_ours_is_refused(name: str) -> None:
    with pytest.raises(Rejected):
        wire.token_of(name)


def test_files_of_a_longer_name_are_not_taken_for_ours() -> None:
    assert not wire.belongs_to("fl-0123456789ab-cdef01x.svg", OURS)
    assert not wire.belongs_to("other.svg", OURS)


def test_a_note_is_read_as_it_was_written() -> None:
    note = wire.note(OURS, "ab" * 32, 12, a_ticket())

    assert wire.parse_note(wire.note_bytes(note)) == note
    assert json.loads(wire.note_bytes(note)) == {
        "remote_name": OURS,
        "sha256": "ab" * 32,
        "size_bytes": 12,
        "handed_over": False,
        "staged_at": "",
        "job_id": "00000000-0000-0000-0000-000000abcdef",
        "job": "boîte.svg",
        "member": "Zoë Müller",
        "material": "poplar plywood 3 mm",
        "machine": "Laser 1",
        "planned_seconds": 754,
        "words": "Handed over. A person starts it at the machine's own software.",
    }


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"remote_name": 1}', b"[" * 60_000, b'{"x": 1}', b"\xff\xfe"]
)
def test_what_is_no_note_is_none(body: bytes) -> None:
    assert wire.parse_note(body) is None


@pytest.mark.parametrize(
    ("body", "activity", "outcome"),
    [
        ({"state": "running"}, Activity.PRINTING, None),
        ({"state": "paused", "progress": 0.5}, Activity.PAUSED, None),
        ({"state": "finished", "machine_seconds": 61.6}, Activity.IDLE, Outcome.FINISHED),
        ({"state": "failed"}, Activity.IDLE, Outcome.FAILED),
        ({"state": "cancelled", "words": "x" * 9999}, Activity.IDLE, Outcome.CANCELLED),
        ({"state": "done"}, Activity.UNKNOWN, None),
        ({"state": ["running"]}, Activity.UNKNOWN, None),
        ({}, Activity.UNKNOWN, None),
        ([], Activity.UNKNOWN, None),
    ],
)
def test_a_state_file_says_what_the_machine_does(
    body: object, activity: Activity, outcome: Outcome | None
) -> None:
    state = wire.state(json.dumps(body).encode(), OURS, NOON)

    ended = state.ended()

    assert wire.observation([state]).activity is activity
    assert (ended.outcome if ended else None) is outcome
    assert len(state.words) <= wire.WORDS_LENGTH_MAX


def test_an_end_carries_its_seconds_and_its_cause() -> None:
    body = b'{"state": "failed", "machine_seconds": 61.6, "beam_seconds": 12.5, "cause": "power", "words": "dark"}'

    ended = wire.state(body, OURS, NOON).ended()

    assert ended is not None
    assert (ended.machine_seconds, ended.beam_seconds) == (62, 12.5)
    assert (ended.cause, ended.words) == (Cause.POWER, "dark")


@pytest.mark.parametrize("number", ["-1", "1e999", "NaN", "true", '"7"', "null", "1e300"])
def test_seconds_that_cannot_be_are_not_known(number: str) -> None:
    body = f'{{"state": "finished", "machine_seconds": {number}, "beam_seconds": {number}}}'.encode()

    ended = wire.state(body, OURS, NOON).ended()

    assert ended is not None
    assert (ended.machine_seconds, ended.beam_seconds) == (None, None)


@given(st.binary(max_size=200))
def test_no_state_file_is_taken_for_an_idle_machine_unless_it_says_so(body: bytes) -> None:
    state = wire.state(body, OURS, NOON)

    assert state.ended() is not None or wire.observation([state]).activity is not Activity.IDLE


def test_the_newest_file_at_work_is_the_one() -> None:
    old = wire.state(b'{"state": "running"}', "old.svg", NOON - timedelta(hours=1))
    new = wire.state(b'{"state": "running"}', OURS, NOON)
    ended = wire.state(b'{"state": "finished"}', "later.svg", NOON + timedelta(hours=1))

    assert wire.observation([old, new, ended]).remote_name == OURS


def test_a_time_of_the_folders_clock_is_told_by_ours() -> None:
    ahead = timedelta(hours=3)
    note = wire.Note(remote_name=OURS, sha256="", size_bytes=0, staged_at=NOON.isoformat())
    state = wire.state(b'{"state": "finished"}', OURS, NOON + ahead + timedelta(minutes=5))

    assert wire.ours_at(state, note, NOON + ahead) == NOON + timedelta(minutes=5)
    assert wire.ours_at(state, None, None) == state.at
