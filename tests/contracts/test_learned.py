"""What finished runs teach, as every store keeps it: whole, in order, never changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from orchestrator.domain.calibration import Calibration, Sample
from orchestrator.domain.errors import Conflict
from orchestrator.domain.quote import EstimateSource, Spread
from orchestrator.domain.run import RunState
from orchestrator.ports import Store, Unit
from orchestrator.store import tables
from orchestrator.store.sql import SqlUnit
from tests.builders import NOON, Home, a_quote, an_estimate, an_event, at_home


def a_sample(**other: Any) -> Sample:
    values: dict[str, Any] = {
        "run_id": uuid4(),
        "machine_id": uuid4(),
        "profile": "mk3s",
        "at": NOON,
        "predicted_seconds": 3600,
        "predicted_milligrams": 20_000,
        "actual_seconds": 4188,
        "actual_milligrams": None,
        "quoted_seconds": 3500,
        "quoted_milligrams": 21_000,
        "source": EstimateSource.MESH,
        "calibration": "",
    }
    return Sample(**(values | other))


def a_calibration(machine_id: UUID | None, **other: Any) -> Calibration:
    values: dict[str, Any] = {
        "machine_id": machine_id,
        "profile": "mk3s",
        "version": 1,
        "at": NOON,
        "samples": 3,
        "time_scale_ppm": 1_080_000,
        "offset_seconds": 300,
        "time_spread_bp": 600,
        "time_error_before_bp": 1400,
        "time_error_after_bp": 210,
    }
    return Calibration(**(values | other))


async def sampled(home: Home, *, minutes: int = 0, **other: Any) -> Sample:
    """A stored sample, with the finished run that it belongs to."""
    machine_id = other.pop("machine_id", home.machine.id)
    run = await home.run(await home.job(), state=RunState.FINISHED, machine_id=machine_id)
    at = NOON + timedelta(minutes=minutes)
    sample = a_sample(run_id=run.id, machine_id=machine_id, at=at, **other)
    await home.store.write(lambda unit: unit.add_sample(sample))
    return sample


async def adopted(store: Store, calibration: Calibration) -> Calibration:
    await store.write(lambda unit: unit.adopt(calibration, an_event("calibration.adopted")))
    return calibration


async def test_samples_come_back_newest_first_of_a_machine_or_of_all(store: Store) -> None:
    home = await at_home(store)
    other = await home.another_machine()
    first = await sampled(home, actual_milligrams=19_000, calibration="mk3s:2")
    third = await sampled(home, minutes=2, source=EstimateSource.SLICED)
    second = await sampled(home, minutes=1, machine_id=other.id)
    await sampled(home, minutes=3, profile="mini")

    async def asked(machine_id: UUID | None, limit: int = 10) -> list[Sample]:
        return list(await store.read(lambda unit: unit.samples("mk3s", machine_id, limit=limit)))

    assert await asked(home.machine.id) == [third, first]
    assert await asked(None) == [third, second, first]
    assert await asked(None, limit=1) == [third]
    assert await asked(uuid4()) == []
    counted = await store.read(lambda unit: unit.samples_counted())
    assert set(counted) == {(home.machine.id, "mk3s", 2), (other.id, "mk3s", 1), (home.machine.id, "mini", 1)}


async def test_a_run_is_sampled_once(store: Store) -> None:
    home = await at_home(store)
    sample = await sampled(home)

    with pytest.raises(Conflict):
        await store.write(lambda unit: unit.add_sample(replace(sample, actual_seconds=1)))
    with pytest.raises(Conflict):
        await store.write(lambda unit: unit.add_sample(a_sample(machine_id=home.machine.id)))
    assert await store.read(lambda unit: unit.samples("mk3s", None, limit=9)) == [sample]


async def test_of_each_machine_and_of_all_together_the_last_version_holds(store: Store) -> None:
    home = await at_home(store)
    other = await home.another_machine()
    await adopted(store, a_calibration(None))
    pool = await adopted(store, a_calibration(None, version=2, material_scale_ppm=960_000))
    await adopted(store, a_calibration(home.machine.id))
    own = await adopted(store, a_calibration(home.machine.id, version=2, offset_seconds=280))
    mini = await adopted(store, a_calibration(other.id, profile="mini"))

    async def asked(profile: str, machine_id: UUID | None) -> Calibration | None:
        return await store.read(lambda unit: unit.calibration(profile, machine_id))

    assert await asked("mk3s", None) == pool
    assert await asked("mk3s", home.machine.id) == own
    assert await asked("mk3s", other.id) is None
    assert await asked("mini", None) is None
    held = await store.read(lambda unit: unit.calibrations())
    assert sorted(held, key=str) == sorted([pool, own, mini], key=str)
    assert [e.topic for e in await store.read(lambda unit: unit.events(0))].count("calibration.adopted") == 5


@pytest.mark.parametrize("whose", ["a machine's", "all machines'"])
async def test_a_version_is_adopted_once(store: Store, whose: str) -> None:
    home = await at_home(store)
    calibration = a_calibration(home.machine.id if whose == "a machine's" else None)
    await adopted(store, calibration)

    with pytest.raises(Conflict):
        await adopted(store, replace(calibration, offset_seconds=0))


@pytest.mark.parametrize("table", [tables.estimate_sample, tables.calibration], ids=lambda table: str(table))
async def test_what_was_learned_is_never_changed_and_never_deleted(store: Store, table: Any) -> None:
    home = await at_home(store)
    await sampled(home)
    await adopted(store, a_calibration(None))

    for statement in (update(table).values(profile="other"), delete(table)):

        async def work(unit: Unit) -> None:
            assert isinstance(unit, SqlUnit)
            await unit._connection.execute(statement)  # noqa: B023 - runs here

        with pytest.raises(DBAPIError, match="only grows"):
            await store.write(work)
    assert len(await store.read(lambda unit: unit.samples("mk3s", None, limit=9))) == 1


async def test_a_quote_keeps_what_taught_it_and_an_old_one_is_still_read(store: Store) -> None:
    home = await at_home(store)
    estimate = an_estimate(
        calibration="mk3s:7",
        raw_print_seconds=Spread(p50=3000, p90=3300),
        raw_filament_milligrams=Spread(p50=20_500, p90=22_000),
    )
    quote = home.quote(estimate=estimate)
    old = home.quote()

    async def work(unit: Unit) -> None:
        await unit.add_quote(quote)
        await unit.add_quote(old)

    await store.write(work)
    assert await store.read(lambda unit: unit.quote(quote.id)) == quote

    # a quote from before: its JSON has none of the new fields
    stripped = {
        "source": "mesh",
        "print_seconds": {"p50": 3600, "p90": 4500},
        "filament_milligrams": {"p50": 20_000, "p90": 23_000},
        "confidence": "medium",
        "confidence_reason": "",
    }

    async def age(unit: Unit) -> None:
        assert isinstance(unit, SqlUnit)
        quotes = tables.quote
        await unit._connection.execute(update(quotes).where(quotes.c.id == old.id).values(estimate=stripped))

    await store.write(age)
    assert await store.read(lambda unit: unit.quote(old.id)) == replace(old, estimate=a_quote().estimate)
