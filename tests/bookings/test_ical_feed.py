"""A calendar as a source: its windows here, and what becomes of them on its bad days."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from orchestrator.domain.reservation import Purpose
from orchestrator.domain.source import Found, Source, SourceKind
from tests.bookings.lab import BookedLab
from tests.builders import a_member
from tests.rigs.fake_feed import FakeFeed, calendar, event

TOMORROW = ("DTSTART:20260303T120000Z", "DURATION:PT2H")


@pytest_asyncio.fixture
async def feed() -> AsyncIterator[FakeFeed]:
    async with FakeFeed().serving() as fake:
        yield fake


async def connected(booked: BookedLab, feed: FakeFeed) -> Source:
    return await booked.source(SourceKind.ICAL, feed.url, machines={"*": "Ada"}, secret="")


async def test_events_hold_the_machine_move_and_go(stored: BookedLab, feed: FakeFeed) -> None:
    source = await connected(stored, feed)
    feed.text = calendar(event("one", *TOMORROW), event("two", "DTSTART:20260304T120000Z", "DURATION:PT1H"))
    await stored.poll(source)
    assert await stored.hours() == [("one", 24, 26), ("two", 48, 49)]

    feed.text = calendar(event("one", "DTSTART:20260303T150000Z", "DURATION:PT2H"))
    await stored.poll(source)
    assert await stored.hours() == [("one", 27, 29)]


async def test_a_feed_that_fails_in_any_way_keeps_its_last_windows(stored: BookedLab, feed: FakeFeed) -> None:
    source = await connected(stored, feed)
    good = calendar(event("one", *TOMORROW))
    feed.text = good
    await stored.poll(source)
    codes = []
    for trouble in ("<html>", good[:-30], calendar(event("b", *TOMORROW, "RRULE:FREQ=SECONDLY"))):
        feed.text = trouble
        codes.append((await stored.poll(source)).note)
    feed.fails()
    codes.append((await stored.poll(source)).note)
    feed.endless = True
    after = await stored.poll(source)
    codes.append(after.note)
    assert codes == [
        "ical.not_a_calendar",
        "ical.cut_off",
        "ical.too_many",
        "source.fails",
        "ical.too_large",
    ]
    assert after.failures == 5
    assert await stored.hours() == [("one", 24, 26)]


async def test_an_unchanged_calendar_is_not_read_again_that_day(booked: BookedLab, feed: FakeFeed) -> None:
    source = await connected(booked, feed)
    feed.text, feed.etag = calendar(event("one", *TOMORROW)), '"v1"'
    first = await booked.poll(source)
    feed.text = "would be refused"
    assert (await booked.poll(source)).note == first.note  # 304
    feed.text, feed.etag = calendar(event("one", *TOMORROW)), ""
    await booked.clock.advance(24 * 3600)
    again = await booked.poll(source)
    assert again.etag != first.etag


async def test_who_is_named_by_address_may_use_it_and_categories_say_what_it_is(
    booked: BookedLab, feed: FakeFeed
) -> None:
    member = a_member(email="camille@example.org")
    await booked.store.write(lambda unit: unit.add_member(member))
    source = await connected(booked, feed)
    feed.text = calendar(
        event("1", *TOMORROW, "ATTENDEE:mailto:Camille@Example.org"),
        event("2", "DTSTART:20260305T120000Z", "DURATION:PT1H", "CATEGORIES:Maintenance"),
        event("3", "DTSTART:20260306T120000Z", "DURATION:PT1H"),
    )
    await booked.poll(source)
    held = await booked.windows()
    assert [(w.purpose, w.member_id) for w in held] == [
        (Purpose.BOOKING, member.id),
        (Purpose.MAINTENANCE, None),
        (Purpose.EVENT, None),
    ]


async def test_two_events_at_one_time_are_a_conflict_of_the_second(booked: BookedLab, feed: FakeFeed) -> None:
    source = await connected(booked, feed)
    feed.text = calendar(event("a", *TOMORROW), event("b", *TOMORROW))
    after = await booked.poll(source)
    assert Found.of(after.note) == Found(held=1, changed=2, conflicts=1)
    assert await booked.hours() == [("a", 24, 26)]


async def test_a_long_uid_still_names_one_window(booked: BookedLab, feed: FakeFeed) -> None:
    source = await connected(booked, feed)
    feed.text = calendar(event("u" * 1500, *TOMORROW))
    await booked.poll(source)
    await booked.poll(source)
    (window,) = await booked.windows()
    assert len(window.external_id) < 200
    assert await booked.topics() == ["reservation.booked"]


async def test_a_window_that_is_over_stays_as_it_was(booked: BookedLab, feed: FakeFeed) -> None:
    source = await connected(booked, feed)
    feed.text = calendar(event("one", *TOMORROW))
    await booked.poll(source)
    await booked.clock.advance(timedelta(days=2).total_seconds())
    feed.text = calendar()
    await booked.poll(source)
    assert await booked.topics() == ["reservation.booked"]


async def test_a_thousand_windows_come_in_one_write(stored: BookedLab, feed: FakeFeed) -> None:
    source = await connected(stored, feed)
    feed.text = calendar(
        event("s", "DTSTART:20260303T000000Z", "DURATION:PT1H", "RRULE:FREQ=HOURLY;COUNT=1000")
    )
    after = await stored.poll(source)
    assert Found.of(after.note) == Found(held=1000, changed=1000)
