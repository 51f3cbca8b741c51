"""What OctoPrint 1.11.8 with its virtual printer said (samples/, as recorded), and what we read in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from drivers.octoprint import wire
from orchestrator.domain.errors import MachineUnreachable
from orchestrator.domain.machine import WORKING, Activity
from orchestrator.ports import Ended, Observation, Outcome

A = Activity


def sample(name: str) -> Any:
    return json.loads((Path(__file__).parent / "samples" / f"{name}.json").read_text())


def heard(name: str) -> list[Observation]:
    """All news out of a recorded push socket."""
    told, news = wire.Told(), []
    for message in sample(name):
        told, observation = told.hear(message)
        if observation is not None:
            news.append(observation)
    return news


def steps(observations: list[Observation]) -> list[Activity]:
    """The activities in order, each once as long as it lasts."""
    all_of_them = [seen.activity for seen in observations]
    return all_of_them[:1] + [after for before, after in pairwise(all_of_them) if after is not before]


def ends(observations: list[Observation]) -> list[Ended]:
    return [seen.ended for seen in observations if seen.ended is not None]


@pytest.mark.parametrize(
    ("name", "activity", "file", "position", "message"),
    [
        ("job_idle", A.IDLE, None, None, ""),
        ("job_printing", A.PRINTING, "fl-done.gcode", 352, ""),
        ("job_offline", A.UNKNOWN, None, None, "OctoPrint has no connection to its printer (Offline)."),
        ("job_offline_after_error", A.FAULT, None, None, "MAXTEMP triggered! - ok"),
    ],
)
def test_a_full_state_is_read(
    name: str, activity: Activity, file: str | None, position: int | None, message: str
) -> None:
    seen = wire.reading(sample(name))

    assert (seen.activity, seen.remote_name, seen.position_bytes) == (activity, file, position)
    assert seen.message == message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("push_finished", [A.IDLE, A.PREPARING, A.PRINTING, A.FINISHING, A.IDLE]),
        (
            "push_paused_and_cancelled",
            [
                A.IDLE,
                A.PREPARING,
                A.PRINTING,
                A.PAUSING,
                A.PAUSED,
                A.RESUMING,
                A.PRINTING,
                A.CANCELLING,
                A.IDLE,
            ],
        ),
        ("push_firmware_error", [A.IDLE, A.PREPARING, A.PRINTING, A.FAULT]),
        ("push_serial_lost", [A.IDLE, A.PREPARING, A.PRINTING, A.UNKNOWN, A.FAULT]),
    ],
)
def test_late_messages_never_make_the_activity_flicker(name: str, expected: list[Activity]) -> None:
    assert steps(heard(name)) == expected


@pytest.mark.parametrize(
    ("name", "file", "outcome", "position", "seconds", "words"),
    [
        ("push_finished", "fl-done.gcode", Outcome.FINISHED, 508, 1, ""),
        ("push_paused_and_cancelled", "fl-stop.gcode", Outcome.CANCELLED, 1412, 2, ""),
        ("push_firmware_error", "fl-jam.gcode", Outcome.FAILED, 903, 2, "MAXTEMP triggered! - ok"),
        ("push_serial_lost", "fl-cut.gcode", Outcome.FAILED, 910, 2, "SerialTimeoutException: "),
    ],
)
def test_each_end_is_told_once_when_the_machine_has_let_go(
    name: str, file: str, outcome: Outcome, position: int, seconds: int, words: str
) -> None:
    observations = heard(name)

    (ended,) = ends(observations)

    assert (ended.remote_name, ended.outcome, ended.position_bytes) == (file, outcome, position)
    assert (ended.machine_seconds, ended.words) == (seconds, words)
    assert all(seen.activity not in WORKING for seen in observations if seen.ended is not None)


def test_a_position_never_goes_back_while_one_print_runs() -> None:
    positions = [
        seen.position_bytes for seen in heard("push_paused_and_cancelled") if seen.activity in WORKING
    ]
    known = [position for position in positions if position is not None]

    assert known == sorted(known)


def test_the_same_file_printed_again_ends_again() -> None:
    told, count = wire.Told(), 0
    for message in [*sample("push_finished"), *sample("push_finished")[2:]]:
        told, news = told.hear(message)
        count += news is not None and news.ended is not None

    assert count == 2


def test_a_state_that_no_event_told_is_believed_when_it_is_said_twice() -> None:
    told, _ = wire.Told().hear(sample("push_finished")[1])
    printing = next(
        m for m in sample("push_finished") if m.get("current", {}).get("progress", {}).get("filepos")
    )

    told, first = told.hear(printing)
    _, second = told.hear(printing)

    assert first is None
    assert second is not None
    assert second.activity is Activity.PRINTING


def test_before_the_first_full_state_an_event_tells_nothing() -> None:
    told = wire.Told()
    for message in sample("push_finished"):
        if "event" in message:
            told, news = told.hear(message)
            assert news is None


START = datetime.fromtimestamp(sample("file_finished")["prints"]["last"]["date"], UTC) - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("name", "since", "ahead_seconds", "expected"),
    [
        ("file_never_printed", START, 0.0, None),
        ("file_finished", START, 0.0, Outcome.FINISHED),
        ("file_finished", START + timedelta(minutes=1), 0.0, None),  # a print from before
        (
            "file_finished",
            START + timedelta(minutes=1),
            -60.0,
            Outcome.FINISHED,
        ),  # its clock is a minute late
        ("file_finished", START, 60.0, None),  # its clock is a minute ahead: that was before the start
        ("file_cancelled", START, 0.0, Outcome.FAILED),
    ],
)
def test_a_files_own_record_proves_an_end(
    name: str, since: datetime, ahead_seconds: float, expected: Outcome | None
) -> None:
    ended = wire.ended("fl-done.gcode", wire.record(sample(name)), since, ahead_seconds)

    assert (ended.outcome if ended else None) is expected


def test_a_record_tells_size_and_fingerprint() -> None:
    seen = wire.record(sample("file_never_printed"))

    assert (seen.size_bytes, len(seen.sha1 or "")) == (508, 40)


def test_the_small_answers_are_read() -> None:
    assert wire.version(sample("version")) == "OctoPrint 1.11.8"
    assert wire.login(sample("login")) == ("fleet", "0" * 64)
    assert wire.stored_path(sample("uploaded")) == "fl-done.gcode"
    assert "already printing" in wire.words_of(json.dumps(sample("refused_409")).encode())


def test_the_subscription_goes_before_the_login() -> None:
    assert [next(iter(json.loads(text))) for text in wire.hello("fleet", "x")] == [
        "subscribe",
        "auth",
        "throttle",
    ]


HOSTILE = [
    b"",
    b"<html>",
    b"[" * 100_000,
    b"9" * 5_000,
    b'{"state": [], "job": 3, "progress": "x", "temps": [1, {"tool0": 5}]}',
    b'{"history": {"progress": {"completion": 1e999, "filepos": NaN, "printTime": true}}}',
    b'{"event": {"type": ["PrintDone"], "payload": []}}',
    b"[1, 2]",
    b"null",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nonsense_is_either_not_octoprint_or_nothing_known(text: bytes) -> None:
    try:
        message = wire.parse(text)
    except MachineUnreachable:
        return
    known, _ = wire.Told().hear(sample("push_finished")[1])

    assert wire.reading(message).activity is Activity.UNKNOWN
    assert wire.record(message).sha1 is None
    _, news = known.hear(message)
    assert news is None or news.ended is None
    assert wire.words_of(text) == ""
