"""A laser never starts without a person there, whatever is asked of the lab and whatever happens to it (P10).

Random lives of a laser, from Hypothesis. Every run of the tests lives some; `ETABLI_LASER_SEQUENCES=10000` lives
ten thousand.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from sqlalchemy import select

from orchestrator.domain.job import ENDED, Job
from orchestrator.domain.presence import CHECKLIST, PRESENCE_SECONDS_MAX, Override, Presence, ReleasePolicy
from orchestrator.domain.run import Run
from orchestrator.ports import Unit
from orchestrator.store import tables
from orchestrator.store.sql import SqlUnit
from tests.fakes.clock import NOON
from tests.flow.home import START_CENTS, a_home
from tests.flow.laser_life import DOINGS, Begun, Life, Moved

SEQUENCES = int(os.environ.get("ETABLI_LASER_SEQUENCES", "120"))
HELD_WITHIN = timedelta(seconds=2)
AT_ONCE = timedelta(seconds=1)
STARTS_LATE = timedelta(seconds=5)  # of a machine that takes the start and begins a little later
MINUTE = timedelta(seconds=PRESENCE_SECONDS_MAX)

Doing = tuple[str, int]
LIVES = st.lists(st.tuples(st.sampled_from(DOINGS), st.integers(0, 999)), min_size=15, max_size=25)


def live(policy: ReleasePolicy, count: int, *, switch: bool = True) -> Counter[str]:
    """So many lives, each judged after every doing. What they came to is counted."""
    came = Counter[str]()

    @hypothesis.settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(doings=LIVES)
    def one(doings: Sequence[Doing]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(_lived(Path(directory), policy, doings, came, switch))

    one()
    return came


async def _lived(
    directory: Path, policy: ReleasePolicy, doings: Sequence[Doing], came: Counter[str], switch: bool
) -> None:
    async with a_home(directory) as home:
        life = await Life.begin(home, policy, switch=switch)
        for name, n in doings:
            await life.do(name, n)
            await Judge(life).judge()
        await _the_books_balance(life)
        came["lives"] += 1
        came["starts"] += sum(not begun.by_hand for begun in life.metal.begun)
        came["by hand"] += sum(begun.by_hand for begun in life.metal.begun)
        came["movements"] += len(life.metal.movements())


class Judge:
    """Compares what the laser did with what the database and the test know."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._metal = life.metal

    async def judge(self) -> None:
        if not self._metal.begun:
            return
        self._presences, self._runs, self._overrides = await self._life.home.store.read(self._evidence)
        self._artifacts = {job.id: job.artifact.sha256 for job in self._life.jobs if job.artifact is not None}
        moved = self._metal.movements()
        self._no_run_starts_twice()
        for begun in self._metal.begun:
            if not begun.by_hand:
                self._a_person_had_released_it(begun)
        self._each_movement_has_a_release_of_its_own(moved)
        for movement in moved:
            if not movement.by_hand and not self._metal.settings.panel:
                self._somebody_was_there_all_the_time(movement)
            if not movement.by_hand:
                self._nothing_moves_in_bad_air(movement)

    async def _evidence(self, unit: Unit) -> tuple[list[Presence], dict[str, Run], Sequence[Override]]:
        runs = {run.remote_name: run for job in self._life.jobs for run in await unit.runs_of(job.id)}
        overrides = await unit.overrides(self._life.laser.id, NOON)
        return await every_presence(unit), runs, overrides

    def _no_run_starts_twice(self) -> None:
        ours = Counter(begun.name for begun in self._metal.begun if begun.name in self._runs)
        assert max(ours.values(), default=0) <= 1, ours

    def _a_person_had_released_it(self, begun: Begun) -> None:
        assert not self._metal.settings.panel, "a start of ours on a laser that has a panel"
        released = [one for one in self._presences if self._is_for(one, begun)]
        assert released, ("a start without a person", begun, self._presences)
        assert not begun.lid_open
        assert not begun.extractor_off or self._done_without("extractor", begun.at)

    def _is_for(self, one: Presence, begun: Begun) -> bool:
        run, life = self._runs[begun.name], self._life
        staff = {life.people[name].id for name in ("trained staff", "untrained staff", "a manager")}
        return (
            one.run_id == run.id
            and one.machine_id == run.machine_id == life.laser.id
            and one.artifact_sha256 == self._artifacts[run.job_id]
            and set(one.checklist) == set(CHECKLIST)
            and one.member_id in begun.trained & (staff | {life.owner.id})
            and one.kiosk_id in begun.live_kiosks - {life.other_kiosk.id}
            and one.used_at is not None
            and one.issued_at <= one.used_at <= begun.at < one.issued_at + MINUTE
            and begun.at - one.used_at <= AT_ONCE
        )

    def _done_without(self, condition: str, at: datetime) -> bool:
        return any(
            one.condition == condition and one.stands(at) and one.asked_by != one.confirmed_by
            for one in self._overrides
        )

    def _each_movement_has_a_release_of_its_own(self, moved: Sequence[Moved]) -> None:
        """Also a going on: a hold is not undone by anything else."""
        free = sorted((one.used_at, str(one.run_id)) for one in self._presences if one.used_at is not None)
        for movement in moved:
            if movement.by_hand:
                continue
            run = self._runs[movement.name]
            mine = [
                one
                for one in free
                if one[1] == str(run.id) and one[0] <= movement.since <= one[0] + STARTS_LATE
            ]
            assert mine, ("it moved without a release of its own", movement, moved, self._presences)
            free.remove(mine[-1])

    def _somebody_was_there_all_the_time(self, movement: Moved) -> None:
        """It begins only where somebody has just been heard; from then, and from each sign, two seconds and no more."""
        signs, reach = sorted(self._life.truth.signs), movement.since + HELD_WITHIN
        heard = [sign for sign in signs if movement.since - HELD_WITHIN <= sign <= movement.since]
        assert heard, ("nobody was heard when it began", movement, signs[-8:])
        for sign in signs:
            if sign <= reach:
                reach = max(reach, sign + HELD_WITHIN)
        assert movement.until <= reach, ("nobody was heard", movement, self._life.truth.signs[-8:])

    def _nothing_moves_in_bad_air(self, movement: Moved) -> None:
        for since, until in self._life.truth.off:
            begins, ends = max(since, movement.since), min(until or movement.until, movement.until)
            if ends - begins > HELD_WITHIN:
                assert self._done_without("extractor", begins), (
                    "the extractor was off",
                    movement,
                    since,
                    until,
                )


async def every_presence(unit: Unit) -> list[Presence]:
    assert isinstance(unit, SqlUnit)
    columns = [tables.presence.c[name] for name in ("id", *_PLAIN)]
    rows = await unit._connection.execute(select(*columns, tables.presence.c.checklist))
    return [
        Presence(checklist=tuple(row.checklist), **{name: getattr(row, name) for name in ("id", *_PLAIN)})
        for row in rows
    ]


_PLAIN = (
    "run_id",
    "machine_id",
    "member_id",
    "kiosk_id",
    "artifact_sha256",
    "issued_at",
    "expires_at",
    "used_at",
    "heartbeat_at",
)


async def _the_books_balance(life: Life) -> None:
    home = life.home
    assert not await home.store.verify()
    captured = 0
    for job in life.jobs:
        now = await home.now(job)
        held, bill = await home.store.read(lambda unit: _money(unit, now))  # noqa: B023 - runs here
        captured += bill
        assert held == 0 or now.state not in ENDED
    balance = await home.store.read(lambda unit: unit.balance(life.owner.account_id))
    assert START_CENTS - balance.posted.cents == captured


async def _money(unit: Unit, job: Job) -> tuple[int, int]:
    bill = await unit.bill(job.id)
    return await unit.held_for(job.quote_id), bill.captured.cents if bill else 0


@pytest.mark.timeout(max(120, SEQUENCES))
def test_a_laser_that_we_feed_never_moves_without_a_person_there() -> None:
    came = live(ReleasePolicy.KIOSK_START, SEQUENCES)

    assert came["starts"] > came["lives"] / 3, came


@pytest.mark.timeout(max(120, SEQUENCES))
def test_a_laser_with_a_panel_is_never_started_by_us() -> None:
    came = live(ReleasePolicy.PHYSICAL_START, SEQUENCES // 4)

    assert came["starts"] == 0
    assert came["by hand"] > 0, came


@pytest.mark.timeout(max(120, SEQUENCES))
def test_a_laser_without_a_switch_of_its_own_is_made_to_hold_by_us() -> None:
    came = live(ReleasePolicy.KIOSK_START, SEQUENCES // 4, switch=False)

    assert came["starts"] > came["lives"] / 3, came
