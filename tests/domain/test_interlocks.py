"""The last question before a start: from facts that are all good one thing is changed, and exactly its refusal comes.

These tables are also what the mutation score of `interlocks.py` and `presence.py` is measured with.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestrator.domain import interlocks
from orchestrator.domain.interlocks import Facts, bad_conditions, check, check_going_on, must_hold
from orchestrator.domain.machine import Abilities, Bed, Kind, Link, Machine, needs_release
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.presence import (
    CHECKLIST,
    CONDITION_SECONDS_MAX,
    HEARD_SECONDS_MAX,
    HEARTBEAT_LOST_SECONDS,
    OVERRIDE_MINUTES_MAX,
    Kiosk,
    Override,
    Presence,
    Reading,
    ReleasePolicy,
)
from orchestrator.domain.run import Run, RunState, run_token

MODULE = Path(interlocks.__file__)
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HERE, THERE, RUN, MEMBER, DEVICE = (uuid4() for _ in range(5))
FILE, OTHER_FILE = "a" * 64, "b" * 64
LASER = Machine(
    id=HERE,
    site="lab",
    name="Foucault",
    kind=Kind.LASER,
    machine_class="laser",
    driver="simulated",
    abilities=Abilities(
        size_mm=(600, 400, 0),
        attended=True,
        release=ReleasePolicy.KIOSK_START,
        conditions=("lid", "extractor"),
    ),
    material=None,
    version=1,
    link=Link.ONLINE,
    bed=Bed.CLEAR,
)
PRINTER = replace(LASER, kind=Kind.PRINTER, machine_class="fdm", abilities=Abilities(size_mm=(250, 210, 210)))


def a_reading(name: str, **other: Any) -> Reading:
    values: dict[str, Any] = {
        "machine_id": HERE,
        "name": name,
        "good": True,
        "at": NOW,
        "source": "controller",
    }
    return Reading(**(values | other))


def an_override(condition: str = "lid", **other: Any) -> Override:
    """Confirmed by a second person a minute ago."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "machine_id": HERE,
        "condition": condition,
        "reason": "the switch is broken",
        "asked_by": MEMBER,
        "asked_at": NOW - timedelta(minutes=2),
        "confirmed_by": uuid4(),
        "confirmed_at": NOW - timedelta(minutes=1),
    }
    return Override(**(values | other))


GOOD = Facts(
    machine=LASER,
    run=Run(
        id=RUN,
        job_id=uuid4(),
        machine_id=HERE,
        token=run_token(RUN),
        state=RunState.STAGED,
        version=1,
        claimed_at=NOW,
    ),
    now=NOW,
    hold_stands=True,
    artifact_sha256=FILE,
    presence=Presence(
        id=uuid4(),
        run_id=RUN,
        machine_id=HERE,
        member_id=MEMBER,
        kiosk_id=DEVICE,
        artifact_sha256=FILE,
        checklist=CHECKLIST,
        issued_at=NOW - timedelta(seconds=20),
        expires_at=NOW + timedelta(seconds=40),
        heartbeat_at=NOW - timedelta(seconds=0.5),
    ),
    kiosk=Kiosk(
        id=DEVICE, machine_id=HERE, name="tablet", public_key="a key", enrolled_by=uuid4(), enrolled_at=NOW
    ),
    may_release=True,
    trained=True,
    readings={name: a_reading(name) for name in ("lid", "extractor")},
)
HELD = replace(GOOD, run=replace(GOOD.run, state=RunState.PAUSED))

Change = Callable[[Facts], Facts]
BOTH, ONLY_START, ONLY_GOING_ON = "both", "a start", "going on"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing changed, and the one refusal that it brings; None: it is no reason to refuse."""

    what: str
    change: Change
    no: Refusal | None
    of: str = BOTH


def machine(**other: Any) -> Change:
    return lambda facts: replace(facts, machine=replace(facts.machine, **other))


def run(**other: Any) -> Change:
    return lambda facts: replace(facts, run=replace(facts.run, **other))


def presence(**other: Any) -> Change:
    def change(facts: Facts) -> Facts:
        assert facts.presence is not None
        return replace(facts, presence=replace(facts.presence, **other))

    return change


def kiosk(**other: Any) -> Change:
    def change(facts: Facts) -> Facts:
        assert facts.kiosk is not None
        return replace(facts, kiosk=replace(facts.kiosk, **other))

    return change


def that(**other: Any) -> Change:
    return lambda facts: replace(facts, **other)


def lid(**other: Any) -> Change:
    return lambda facts: replace(facts, readings={**facts.readings, "lid": a_reading("lid", **other)})


def nobody(reason: str) -> Refusal:
    return Refusal(rule="presence", reason=reason, until=Until.PERSON)


def bad(name: str) -> Refusal:
    return Refusal(
        rule="condition", reason=f"“{name}” is not known to be as it must.", until=Until.PERSON, needed=name
    )


IDENTITY = Refusal(rule="identity", reason="The run belongs to another machine.", until=Until.NEVER)
UNPAID = Refusal(rule="hold", reason="The job's maximum price is not set aside.", until=Until.PERSON)
UNSAID = Refusal(
    rule="attended", reason="Nobody has said how a person starts this machine.", until=Until.PERSON
)
ALONE = nobody("Only a person at the machine starts it.")
ELSE = nobody("The release was given for something else.")
WRONG_FILE = nobody("The release was given for another file than the one that is staged.")
SERVED = nobody("The release has served already.")
RUN_OUT = nobody("The release has run out.")
NOT_HERE = nobody("The release does not come from a device that stands at this machine.")
NOT_THEIRS = Refusal(
    rule="release_person", reason="Only whose job it is, or staff, releases it.", until=Until.PERSON
)
UNTRAINED = Refusal(
    rule="no_training",
    reason="Who releases it has no training for laser on record.",
    until=Until.PERSON,
    needed="laser",
)
LOST = nobody("The person at the machine was not heard of any more.")


def wrong_state(state: RunState, reason: str) -> Refusal:
    return Refusal(rule="state", reason=reason, until=Until.NEVER, seen=state.value)


def _kept(words: str) -> Refusal:
    return Refusal(rule="held", reason="A person holds the machine back.", until=Until.PERSON, seen=words)


HEARD = timedelta(seconds=HEARD_SECONDS_MAX)
MACHINE_ROWS = (
    Row(what="another machine's run", change=run(machine_id=THERE), no=IDENTITY),
    *(
        Row(
            what=f"the run is {state}",
            change=run(state=state),
            no=wrong_state(state, "The run is not staged."),
            of=ONLY_START,
        )
        for state in RunState
        if state is not RunState.STAGED
    ),
    *(
        Row(
            what=f"the held run is {state}",
            change=run(state=state),
            no=wrong_state(state, "The run is not paused."),
            of=ONLY_GOING_ON,
        )
        for state in RunState
        if state is not RunState.PAUSED
    ),
    *(
        Row(
            what=f"the bed is {bed}",
            change=machine(bed=bed),
            no=Refusal(
                rule="bed", reason="The bed is not confirmed clear.", until=Until.PERSON, seen=bed.value
            ),
            of=ONLY_START,
        )
        for bed in (Bed.OCCUPIED, Bed.UNKNOWN)
    ),
    Row(
        what="its sheet lies there when it goes on",
        change=machine(bed=Bed.OCCUPIED),
        no=None,
        of=ONLY_GOING_ON,
    ),
    Row(what="held", change=machine(held="the tube is warm"), no=_kept("the tube is warm")),
    Row(what="in maintenance", change=machine(maintenance=True), no=_kept("")),
    Row(
        what="held, and in maintenance",
        change=machine(held="the tube is warm", maintenance=True),
        no=_kept("the tube is warm"),
    ),
    *(
        Row(
            what=f"the link is {link}",
            change=machine(link=link),
            no=Refusal(
                rule="link", reason="The machine is not online.", until=Until.MACHINE, seen=link.value
            ),
        )
        for link in Link
        if link is not Link.ONLINE
    ),
    Row(what="nothing set aside", change=that(hold_stands=False), no=UNPAID, of=ONLY_START),
    Row(
        what="held already paid for", change=that(hold_stands=False), no=None, of=ONLY_GOING_ON
    ),  # the hold was asked for at its start, and nothing but its end frees it
    Row(
        what="no policy",
        change=machine(abilities=replace(LASER.abilities, release=ReleasePolicy.NONE)),
        no=UNSAID,
    ),
    Row(
        what="started at its panel",
        change=machine(abilities=replace(LASER.abilities, release=ReleasePolicy.PHYSICAL_START)),
        no=None,
    ),
)

PRESENCE_ROWS = (
    Row(what="nobody", change=that(presence=None, kiosk=None), no=ALONE),
    Row(what="for another run", change=presence(run_id=uuid4()), no=ELSE),
    Row(what="at another machine", change=presence(machine_id=THERE), no=ELSE),
    Row(what="for another file", change=presence(artifact_sha256=OTHER_FILE), no=WRONG_FILE),
    Row(what="another file is staged", change=that(artifact_sha256=OTHER_FILE), no=WRONG_FILE),
    Row(what="no file is staged", change=that(artifact_sha256=""), no=WRONG_FILE),
    Row(
        what="no file is staged, and none released",
        change=lambda facts: presence(artifact_sha256="")(that(artifact_sha256="")(facts)),
        no=WRONG_FILE,
    ),
    Row(what="served", change=presence(used_at=NOW - timedelta(seconds=1)), no=SERVED),
    Row(what="served this very moment", change=presence(used_at=NOW), no=SERVED),
    Row(what="its last moment has come", change=presence(expires_at=NOW), no=RUN_OUT),
    Row(what="its last moment is to come", change=presence(expires_at=NOW + TICK), no=None),
    Row(what="long run out", change=presence(expires_at=NOW - timedelta(seconds=10)), no=RUN_OUT),
    Row(what="given this moment", change=presence(issued_at=NOW), no=None),
    Row(what="given in the future", change=presence(issued_at=NOW + TICK), no=RUN_OUT),
    Row(what="never heard since", change=presence(heartbeat_at=None), no=LOST),
    Row(
        what="never heard, and just given", change=presence(issued_at=NOW - HEARD, heartbeat_at=None), no=None
    ),
    Row(what="heard not long ago", change=presence(heartbeat_at=NOW - HEARD), no=None),
    Row(what="heard too long ago", change=presence(heartbeat_at=NOW - HEARD - TICK), no=LOST),
    Row(what="heard in the future", change=presence(heartbeat_at=NOW + HEARD + TICK), no=LOST),
    Row(
        what="never heard, and started at its panel",
        change=lambda facts: machine(
            abilities=replace(LASER.abilities, release=ReleasePolicy.PHYSICAL_START)
        )(presence(heartbeat_at=None)(facts)),
        no=None,
    ),
    Row(what="no device", change=that(kiosk=None), no=NOT_HERE),
    Row(what="another device", change=kiosk(id=uuid4()), no=NOT_HERE),
    Row(what="a device of another machine", change=kiosk(machine_id=THERE), no=NOT_HERE),
    Row(what="a revoked device", change=kiosk(revoked_at=NOW - timedelta(days=1)), no=NOT_HERE),
    Row(what="a device to be revoked", change=kiosk(revoked_at=NOW + timedelta(days=1)), no=NOT_HERE),
    *(
        Row(
            what=f"without {point}",
            change=presence(checklist=tuple(one for one in CHECKLIST if one != point)),
            no=nobody(f"Not confirmed: {point}."),
        )
        for point in CHECKLIST
    ),
    Row(
        what="nothing confirmed",
        change=presence(checklist=()),
        no=nobody("Not confirmed: material_in, extractor_on, staying."),
    ),
    Row(what="more confirmed than asked", change=presence(checklist=("dust", *CHECKLIST)), no=None),
    Row(what="another person than whose job it is", change=that(may_release=False), no=NOT_THEIRS),
    Row(what="without training", change=that(trained=False), no=UNTRAINED),
    Row(
        what="neither theirs nor trained",
        change=that(may_release=False, trained=False),
        no=NOT_THEIRS,
    ),
)

STALE = timedelta(seconds=CONDITION_SECONDS_MAX)
HOUR = timedelta(minutes=OVERRIDE_MINUTES_MAX)


def without(*overrides: Override) -> Change:
    """The lid is open, and these overrides are there."""
    return lambda facts: replace(lid(good=False)(facts), overrides=overrides)


CONDITION_ROWS = (
    Row(what="an open lid", change=lid(good=False), no=bad("lid")),
    Row(
        what="a lid of which nothing is known",
        change=that(readings={"extractor": a_reading("extractor")}),
        no=bad("lid"),
    ),
    Row(what="nothing known at all", change=that(readings={}), no=bad("lid")),
    Row(what="another machine's lid", change=lid(machine_id=THERE), no=bad("lid")),
    Row(what="a reading just fresh enough", change=lid(at=NOW - STALE), no=None),
    Row(what="a stale reading", change=lid(at=NOW - STALE - TICK), no=bad("lid")),
    Row(what="a reading of the future", change=lid(at=NOW + TICK), no=bad("lid")),
    Row(what="an override of two", change=without(an_override()), no=None),
    Row(what="an override of another machine", change=without(an_override(machine_id=THERE)), no=bad("lid")),
    Row(what="an override of another sensor", change=without(an_override("chiller")), no=bad("lid")),
    Row(
        what="an override that one has asked for",
        change=without(an_override(confirmed_by=None, confirmed_at=None)),
        no=bad("lid"),
    ),
    Row(
        what="an override that one has confirmed alone",
        change=without(an_override(confirmed_by=MEMBER)),
        no=bad("lid"),
    ),
    Row(
        what="an override without its second person",
        change=without(an_override(confirmed_by=None)),
        no=bad("lid"),
    ),
    Row(
        what="an override without its second person's time",
        change=without(an_override(confirmed_at=None)),
        no=bad("lid"),
    ),
    Row(
        what="an override confirmed this moment",
        change=without(an_override(confirmed_at=NOW)),
        no=None,
    ),
    Row(
        what="an override confirmed in the future",
        change=without(an_override(confirmed_at=NOW + TICK)),
        no=bad("lid"),
    ),
    Row(
        what="an override in its last moment",
        change=without(an_override(confirmed_at=NOW - HOUR + TICK)),
        no=None,
    ),
    Row(
        what="an override that has run out",
        change=without(an_override(confirmed_at=NOW - HOUR)),
        no=bad("lid"),
    ),
    Row(
        what="one override of several stands",
        change=without(an_override(confirmed_by=None), an_override(), an_override("chiller")),
        no=None,
    ),
    Row(
        what="both bad: the first is said",
        change=that(
            readings={"lid": a_reading("lid", good=False), "extractor": a_reading("extractor", good=False)}
        ),
        no=bad("lid"),
    ),
    Row(
        what="a sensor that nobody asks for is bad",
        change=lambda facts: replace(
            facts, readings={**facts.readings, "chiller": a_reading("chiller", good=False)}
        ),
        no=None,
    ),
)
ROWS = MACHINE_ROWS + PRESENCE_ROWS + CONDITION_ROWS


def _named(rows: Sequence[Row]) -> list[Any]:
    return [pytest.param(row, id=row.what) for row in rows]


@pytest.mark.parametrize("row", _named([row for row in ROWS if row.of != ONLY_GOING_ON]))
def test_a_start_is_refused_for_exactly_what_is_wrong(row: Row) -> None:
    assert check(row.change(GOOD)) == (() if row.no is None else (row.no,))


@pytest.mark.parametrize("row", _named([row for row in ROWS if row.of != ONLY_START]))
def test_going_on_is_refused_for_exactly_what_is_wrong(row: Row) -> None:
    assert check_going_on(row.change(HELD)) == (() if row.no is None else (row.no,))


def test_good_facts_may_start_and_go_on() -> None:
    assert check(GOOD) == ()
    assert check_going_on(HELD) == ()


def test_all_that_is_wrong_is_said_in_its_order() -> None:
    nothing = Facts(
        machine=replace(LASER, bed=Bed.UNKNOWN, maintenance=True, link=Link.OFFLINE),
        run=replace(GOOD.run, machine_id=THERE, state=RunState.CLAIMED),
        now=NOW,
        hold_stands=False,
    )

    start, going_on = ([no.rule for no in judge(nothing)] for judge in (check, check_going_on))

    assert start == [
        "identity",
        "state",
        "bed",
        "presence",
        "release_person",
        "condition",
        "held",
        "link",
        "hold",
    ]
    assert going_on == ["identity", "state", "presence", "release_person", "condition", "held", "link"]


def test_facts_that_nobody_gave_are_not_good() -> None:
    bare = Facts(machine=LASER, run=GOOD.run, now=NOW, hold_stands=True)

    assert [no.rule for no in check(bare)] == ["presence", "release_person", "condition"]
    assert (bare.may_release, bare.trained, bare.artifact_sha256) == (False, False, "")
    assert (bare.presence, bare.kiosk, bare.overrides) == (None, None, ())


# --- who needs a person --------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "policy", "attended"), list(product(Kind, ReleasePolicy, (False, True))))
def test_only_a_printer_that_says_nothing_of_a_person_starts_alone(
    kind: Kind, policy: ReleasePolicy, attended: bool
) -> None:
    abilities = Abilities(size_mm=(600, 400, 0), release=policy, attended=attended)
    facts = replace(GOOD, machine=replace(LASER, kind=kind, abilities=abilities), presence=None, kiosk=None)
    alone = kind is Kind.PRINTER and policy is ReleasePolicy.NONE and not attended

    assert needs_release(facts.machine) is not alone
    assert (check(facts) == ()) is alone
    assert (ALONE in check(facts)) is not alone
    assert (UNSAID in check(facts)) is (policy is ReleasePolicy.NONE and not alone)


def test_a_printer_asks_for_nobody_but_for_its_own_sensors() -> None:
    facts = Facts(machine=PRINTER, run=GOOD.run, now=NOW, hold_stands=True)
    wired = replace(PRINTER, abilities=replace(PRINTER.abilities, conditions=("door",)))

    assert check(facts) == ()
    assert check(replace(facts, machine=wired)) == (bad("door"),)


def test_nobodys_role_is_known_to_the_interlocks() -> None:
    names = {
        alias.name
        for node in ast.walk(ast.parse(MODULE.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert not names & {"Member", "Role", "Permission", "PERMISSIONS"}
    assert not any("role" in field.name for field in fields(Facts))


def test_the_interlocks_can_be_read_in_one_sitting() -> None:
    assert MODULE.read_text().count("\n") <= 300


# --- while it runs -------------------------------------------------------------------------------

LOST_AFTER = HEARTBEAT_LOST_SECONDS


@pytest.mark.parametrize(
    ("age_seconds", "holds"),
    [
        (0.0, False),
        (1.0, False),
        (LOST_AFTER - 1e-6, False),
        (LOST_AFTER, True),
        (LOST_AFTER + 1e-6, True),
        (1e9, True),
        (None, True),
        (float("nan"), True),
    ],
)
def test_a_machine_that_we_feed_holds_once_nobody_is_heard(age_seconds: float | None, holds: bool) -> None:
    reasons = must_hold(LASER, GOOD.readings, (), NOW, age_seconds)

    assert reasons == ((LOST,) if holds else ())


@pytest.mark.parametrize("policy", [ReleasePolicy.NONE, ReleasePolicy.PHYSICAL_START])
@pytest.mark.parametrize("age_seconds", [0.0, 1e9, None])
def test_a_machine_that_was_started_by_hand_does_not_wait_for_heartbeats(
    policy: ReleasePolicy, age_seconds: float | None
) -> None:
    by_hand = replace(LASER, abilities=replace(LASER.abilities, release=policy))

    assert must_hold(by_hand, GOOD.readings, (), NOW, age_seconds) == ()
    assert must_hold(by_hand, {}, (), NOW, age_seconds) == (bad("lid"), bad("extractor"))


@pytest.mark.parametrize("row", _named(CONDITION_ROWS))
def test_what_forbids_the_start_makes_it_hold(row: Row) -> None:
    facts = row.change(GOOD)
    reasons = must_hold(facts.machine, facts.readings, facts.overrides, facts.now, 0.0)

    assert reasons[:1] == (() if row.no is None else (row.no,))


def test_every_reason_to_hold_is_said() -> None:
    assert must_hold(LASER, {}, (), NOW, None) == (bad("lid"), bad("extractor"), LOST)


def test_an_override_never_stands_for_a_presence() -> None:
    every = tuple(an_override(name) for name in ("lid", "extractor", "presence"))

    assert must_hold(LASER, {}, every, NOW, None) == (LOST,)
    assert check(replace(GOOD, presence=None, readings={}, overrides=every)) == (ALONE,)


def test_every_bad_input_is_named_in_the_machines_order() -> None:
    assert bad_conditions(LASER, {}, (), NOW) == (bad("lid"), bad("extractor"))
    assert bad_conditions(LASER, {}, (an_override(),), NOW) == (bad("extractor"),)
    assert bad_conditions(LASER, GOOD.readings, (), NOW) == ()
    assert bad_conditions(PRINTER, {}, (), NOW) == ()
