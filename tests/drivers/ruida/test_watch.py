"""What is concluded from status words and counters, and what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ruida.watch import Reading, Record, Watch, from_json, to_json, usage
from drivers.ruida.wire import Counters
from orchestrator.domain.machine import Activity
from orchestrator.domain.run import Cause
from orchestrator.ports import Ended, Observation, Outcome, Where
from tests.fakes.clock import NOON

IDLE, RUNS, PAUSED, TAIL, STOPPING = 0x0001_0600, 0x0001_0401, 0x0001_0403, 0x0001_0405, 0x0051_0600
BASE = Counters(on_seconds=1000, work_seconds=500, jobs=7, beam_seconds=400, previous_seconds=60, documents=3)
OURS = "fl-0123456789ab-cdef01.rd"


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def reading(seconds: float, word: int, **counted: int) -> Reading:
    """So many seconds after it was staged; the controller was on all the time."""
    counters = replace(BASE, on_seconds=BASE.on_seconds + int(seconds), **counted)
    return Reading(at=after(seconds), word=word, counters=counters)


def a_record(**others: object) -> Record:
    plain = {"remote_name": OURS, "document": "EABCDEF2", "place": 3, "sha256": "0" * 64, "size_bytes": 571}
    return Record(**{**plain, "staged_at": NOON, "base": BASE, **others})  # type: ignore[arg-type]


def watching(*readings: Reading, record: Record | None = None) -> tuple[Watch, list[Observation]]:
    """As the driver does it: ours is taken for the one that begins, if it can be."""
    watch, told = Watch(records=(record or a_record(),)), []
    for seen in readings:
        if seen.word & 1 and watch.job is None:
            watch = watch.begins(seen, watch.candidate(seen.counters))
        watch, observation = watch.sees(seen)
        told.append(observation)
    return watch, told


def rest(from_seconds: float, **counted: int) -> list[Reading]:
    return [reading(from_seconds + half / 2, IDLE, **counted) for half in range(8)]


def the_end(told: list[Observation]) -> Ended:
    (end,) = [seen.ended for seen in told if seen.ended is not None]
    return end


# --- a job of ours ---------------------------------------------------------------------------------


def test_a_job_of_ours_is_told_from_its_beginning_to_its_end_with_its_seconds() -> None:
    watch, told = watching(
        reading(10, IDLE),
        reading(20, RUNS),
        reading(60, RUNS, work_seconds=540, beam_seconds=430),
        reading(110, TAIL, work_seconds=590, beam_seconds=470),
        *rest(111, work_seconds=591, beam_seconds=470, jobs=8, previous_seconds=91),
    )

    assert [seen.activity for seen in told[:4]] == [
        Activity.IDLE,
        Activity.PRINTING,
        Activity.PRINTING,
        Activity.FINISHING,
    ]
    assert [seen.remote_name for seen in told[1:4]] == [OURS] * 3
    assert (told[2].machine_seconds, told[2].beam_seconds) == (40, 30.0)
    end = the_end(told)
    assert (end.remote_name, end.outcome, end.cause) == (OURS, Outcome.FINISHED, None)
    assert (end.machine_seconds, end.beam_seconds, end.words) == (91, 70.0, "")
    assert told[-1].activity is Activity.IDLE
    assert watch.job is None


def test_nothing_is_told_as_over_before_it_has_rested() -> None:
    _, told = watching(reading(20, RUNS), reading(30, IDLE), reading(30.2, IDLE), reading(30.4, IDLE))

    assert [(seen.activity, seen.ended) for seen in told[1:]] == [(Activity.FINISHING, None)] * 3


def test_a_gap_between_two_parts_of_a_job_is_no_end() -> None:
    _, told = watching(reading(20, RUNS), reading(30, IDLE), reading(31, RUNS), reading(32, IDLE))

    assert [seen.ended for seen in told] == [None] * 4


def test_what_is_staged_is_said_by_its_name_at_the_panel() -> None:
    _, told = watching(reading(1, IDLE))

    assert "EABCDEF2" in told[0].message


@pytest.mark.parametrize(
    ("readings", "outcome", "cause"),
    [
        pytest.param([reading(30, TAIL), *rest(31)], Outcome.FINISHED, None, id="its last phase was seen"),
        pytest.param(rest(31, jobs=8), Outcome.FINISHED, None, id="it was counted as it ended"),
        pytest.param([reading(30, STOPPING), *rest(31)], Outcome.CANCELLED, None, id="a stop was seen"),
        pytest.param([reading(30, STOPPING), *rest(31, jobs=8)], Outcome.CANCELLED, None, id="… and counted"),
        pytest.param(rest(31), Outcome.FAILED, Cause.UNKNOWN, id="neither"),
        pytest.param(
            [reading(21, RUNS, jobs=8), *rest(31, jobs=8)],
            Outcome.FAILED,
            Cause.UNKNOWN,
            id="it was counted as it began, which says nothing of its end",
        ),
    ],
)
def test_how_a_job_ended(readings: list[Reading], outcome: Outcome, cause: Cause | None) -> None:
    _, told = watching(reading(20, RUNS), *readings)

    assert (the_end(told).outcome, the_end(told).cause) == (outcome, cause)


def test_a_job_that_follows_at_once_is_not_ours_any_more() -> None:
    watch, told = watching(
        reading(20, RUNS), reading(60, RUNS, work_seconds=540), reading(90, RUNS, work_seconds=570, jobs=8)
    )

    end = the_end(told)
    assert (end.outcome, end.machine_seconds) == (Outcome.FINISHED, None)
    assert end.words
    assert (told[-1].activity, told[-1].remote_name) == (Activity.PRINTING, None)
    assert watch.candidate(reading(91, RUNS, jobs=8).counters) is None


def test_a_controller_that_counts_when_a_job_begins_counts_the_same_job() -> None:
    _, told = watching(reading(20, RUNS), reading(21, RUNS, jobs=8), reading(60, RUNS, jobs=8))

    assert {seen.remote_name for seen in told} == {OURS}


def test_a_stop_that_we_asked_for_is_a_cancel() -> None:
    watch, _ = watching(reading(20, RUNS))
    watch = watch.stop_asked()

    ends = []
    for seen in rest(30):
        watch, observation = watch.sees(seen)
        ends += [observation.ended] if observation.ended else []

    assert [end.outcome for end in ends] == [Outcome.CANCELLED]


# --- a job that may not be ours --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "begins"),
    [
        pytest.param(a_record(), reading(20, RUNS, documents=4), id="somebody has stored another since"),
        pytest.param(a_record(), reading(20, RUNS, documents=2), id="somebody has deleted one since"),
        pytest.param(a_record(), reading(20, RUNS, jobs=9), id="others have run between"),
        pytest.param(
            a_record(ended=Ended(remote_name=OURS, outcome=Outcome.FINISHED), ended_at=NOON),
            reading(20, RUNS),
            id="ours has run before",
        ),
    ],
)
def test_a_job_that_may_be_anothers_has_no_name(record: Record, begins: Reading) -> None:
    _, told = watching(begins, *rest(30, jobs=begins.counters.jobs + 1), record=record)

    assert {seen.remote_name for seen in told} == {None}
    assert {seen.ended for seen in told} == {None}
    assert told[0].activity is Activity.PRINTING


def test_of_two_staged_ones_nobody_can_tell_which_runs() -> None:
    watch = Watch(records=(a_record(), a_record(remote_name="fl-other.rd", document="EZZZZZZ2")))

    assert watch.candidate(BASE) is None


def test_after_a_job_that_nobody_can_name_nothing_is_proven_about_ours() -> None:
    watch, _ = watching(reading(20, RUNS, documents=4), *rest(30, documents=4, work_seconds=520, jobs=8))
    later = reading(60, IDLE, documents=4, work_seconds=520, jobs=8)

    assert watch.locate(OURS, NOON, Observation(activity=Activity.IDLE), later).where is Where.UNSURE


# --- counters that cannot be believed --------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "span", "expected"),
    [
        (replace(BASE, work_seconds=530, beam_seconds=410), 30.0, (30, 10.0)),
        (replace(BASE, work_seconds=530, beam_seconds=410), 20.0, (None, None)),  # more than has passed
        (
            replace(BASE, work_seconds=510, beam_seconds=480),
            20.0,
            (None, None),
        ),  # in parts of a second, perhaps
        (replace(BASE, work_seconds=499), 20.0, (None, None)),
        (replace(BASE, beam_seconds=399), 20.0, (None, None)),
        (replace(BASE, on_seconds=0), 20.0, (None, None)),  # another controller
        (replace(BASE, previous_seconds=19), 20.0, (19, 0.0)),  # the total has not moved, that of the job has
        (replace(BASE, work_seconds=510, jobs=9), 20.0, (None, None)),  # two jobs
        (BASE, 20.0, (0, 0.0)),
    ],
)
def test_usage_is_only_what_can_have_been(
    now: Counters, span: float, expected: tuple[object, object]
) -> None:
    seconds, beam, words = usage(BASE, now, span)

    assert (seconds, beam) == expected
    assert bool(words) == (expected == (None, None))


numbers = st.integers(0, 2000)
counters = st.builds(
    Counters,
    on_seconds=numbers,
    work_seconds=numbers,
    jobs=numbers,
    beam_seconds=numbers,
    previous_seconds=numbers,
    documents=st.integers(0, 5),
)


@given(counters, counters, st.floats(-100, 5000))
def test_usage_is_never_negative_nor_longer_than_the_time_that_passed(
    base: Counters, now: Counters, span: float
) -> None:
    seconds, beam, _ = usage(base, now, span)

    for counted in (seconds, beam):
        assert counted is None or 0 <= counted <= span + 5


@given(
    st.lists(
        st.tuples(st.sampled_from([IDLE, RUNS, PAUSED, TAIL, STOPPING, 0, 22, 21]), counters), max_size=30
    )
)
def test_whatever_a_controller_says_each_job_ends_at_most_once(told: list[tuple[int, Counters]]) -> None:
    watch, seen = watching(
        *(Reading(at=after(2 * at), word=word, counters=now) for at, (word, now) in enumerate(told))
    )

    assert sum(observation.ended is not None for observation in seen) <= 1
    assert from_json(json.loads(json.dumps(to_json(watch)))).records == watch.records


# --- what can be proven afterwards -----------------------------------------------------------------

AT_REST = Observation(activity=Activity.IDLE)


@pytest.mark.parametrize(
    ("now", "since", "where"),
    [
        pytest.param(reading(60, IDLE), 0, Where.NEVER_STARTED, id="no work counted, never off"),
        pytest.param(
            replace(reading(60, IDLE), at=after(-3600)), 0, Where.UNSURE, id="our own clock was put back"
        ),
        pytest.param(
            replace(reading(60, IDLE), counters=replace(BASE, on_seconds=1020)),
            0,
            Where.UNSURE,
            id="no work counted, but it was off",
        ),
        pytest.param(
            reading(60, IDLE, work_seconds=540, beam_seconds=430, jobs=8),
            5,
            Where.ENDED,
            id="one job counted",
        ),
        pytest.param(
            reading(60, IDLE, work_seconds=540, beam_seconds=430, jobs=8),
            50,
            Where.UNSURE,
            id="one job, but longer than since the release",
        ),
        pytest.param(reading(60, IDLE, work_seconds=540, jobs=9), 0, Where.UNSURE, id="two jobs"),
        pytest.param(reading(60, IDLE, work_seconds=540), 0, Where.UNSURE, id="work, but no job"),
        pytest.param(reading(60, IDLE, beam_seconds=401), 0, Where.UNSURE, id="a shot"),
        pytest.param(
            reading(60, IDLE, work_seconds=540, jobs=8, documents=4), 0, Where.UNSURE, id="another document"
        ),
        pytest.param(reading(60, IDLE, work_seconds=4), 0, Where.UNSURE, id="counters of another controller"),
    ],
)
def test_where_a_run_is_that_nobody_watched(now: Reading, since: float, where: Where) -> None:
    located = Watch(records=(a_record(),)).locate(OURS, after(since), AT_REST, now)

    assert located.where is where
    if where is Where.ENDED:
        assert located.ended is not None
        assert (located.ended.machine_seconds, located.ended.beam_seconds) == (40, 30.0)


def test_a_run_that_we_have_no_note_of_is_unsure() -> None:
    assert Watch().locate(OURS, NOON, AT_REST, reading(1, IDLE)).where is Where.UNSURE


def test_an_end_that_we_have_seen_is_known_and_belongs_to_its_time() -> None:
    watch, told = watching(reading(20, RUNS), *rest(30, jobs=8))
    now = reading(90, IDLE, jobs=8)

    assert watch.locate(OURS, after(15), AT_REST, now).ended == the_end(told)
    assert watch.locate(OURS, after(60), AT_REST, now).where is Where.UNSURE


def test_a_deleted_document_moves_the_others_up() -> None:
    first, second = a_record(place=1), a_record(remote_name="fl-other.rd", place=3)

    left = Watch(records=(first, second)).taken_away(OURS, 1)

    assert [(record.place, record.base.documents) for record in left.records] == [(2, 2)]


def test_what_has_ended_is_still_known_when_its_document_is_gone() -> None:
    watch, told = watching(reading(20, RUNS), *rest(30, jobs=8))

    gone = watch.taken_away(OURS, 3)

    assert gone.locate(OURS, after(15), AT_REST, reading(90, IDLE, jobs=8)).ended == the_end(told)
