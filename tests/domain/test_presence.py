"""A release, a device, a reading, an override: how long each holds, and that none can be changed afterwards."""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, fields, replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from orchestrator.domain.presence import (
    CHECKLIST,
    CONDITION_SECONDS_MAX,
    CONFIRM_MINUTES_MAX,
    HEARD_SECONDS_MAX,
    HEARTBEAT_LOST_SECONDS,
    HEARTBEAT_SECONDS,
    OVERRIDE_MINUTES_MAX,
    PRESENCE_SECONDS_MAX,
    Override,
    Presence,
    ReleasePolicy,
)
from tests.domain.test_interlocks import GOOD, HERE, MEMBER, NOW, TICK, a_reading, an_override


def test_a_presence_lasts_a_minute_and_not_a_moment_longer() -> None:
    minute = timedelta(seconds=PRESENCE_SECONDS_MAX)
    assert GOOD.presence is not None

    assert replace(GOOD.presence, issued_at=NOW, expires_at=NOW + minute).expires_at == NOW + minute
    with pytest.raises(ValueError, match=r"^a presence lasts at most 60 s$"):
        replace(GOOD.presence, issued_at=NOW, expires_at=NOW + minute + TICK)


def test_the_times_are_those_that_were_promised() -> None:
    assert PRESENCE_SECONDS_MAX == 60
    assert (HEARTBEAT_SECONDS, HEARTBEAT_LOST_SECONDS) == (0.5, 1.5)
    assert HEARTBEAT_SECONDS + HEARTBEAT_LOST_SECONDS <= 2  # P10
    assert HEARD_SECONDS_MAX == 2
    assert CONDITION_SECONDS_MAX == 10
    assert (OVERRIDE_MINUTES_MAX, CONFIRM_MINUTES_MAX) == (60, 10)
    assert CHECKLIST == ("material_in", "extractor_on", "staying")


def test_the_policies_are_written_down_as_they_were() -> None:
    assert [policy.value for policy in ReleasePolicy] == ["none", "physical_start", "kiosk_start"]


def test_what_was_released_read_or_agreed_cannot_be_changed_afterwards() -> None:
    assert GOOD.presence is not None
    assert GOOD.kiosk is not None
    for value in (GOOD, GOOD.presence, GOOD.kiosk, a_reading("lid"), an_override()):
        with pytest.raises(FrozenInstanceError):
            value.machine_id = UUID(int=0)  # type: ignore[misc, union-attr]


def test_what_has_not_happened_yet_is_not_made_up() -> None:
    assert GOOD.presence is not None
    assert GOOD.kiosk is not None
    asked = Override(id=uuid4(), machine_id=HERE, condition="lid", reason="", asked_by=MEMBER, asked_at=NOW)

    given = {f.name: getattr(GOOD.presence, f.name) for f in fields(Presence) if f.default is MISSING}
    fresh = Presence(**given)
    assert (fresh.used_at, fresh.heartbeat_at) == (None, None)
    assert GOOD.kiosk.revoked_at is None
    assert (asked.confirmed_by, asked.confirmed_at) == (None, None)
    assert not asked.stands(NOW)
