"""What a webhook is told, how it is signed, and when it is tried again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from orchestrator.domain.event import Json
from orchestrator.domain.webhook import (
    DELAYS_SECONDS,
    TRIES_MAX,
    Delivery,
    DeliveryState,
    Tried,
    after_try,
    answered,
    body_of,
    data_of,
    is_topic,
    key_of,
    message_id,
    replayed,
    secret_of,
    signed,
    types_of,
)
from tests.builders import NOON, an_event

HOOK = UUID("00000000-0000-0000-0000-0000000000aa")


def a_delivery(**other: object) -> Delivery:
    values = {
        "id": message_id(HOOK, 7, 0),
        "webhook_id": HOOK,
        "seq": 7,
        "topic": "job.finished",
        "body": "{}",
        "created_at": NOON,
        "due_at": NOON,
    }
    return Delivery(**(values | other))  # type: ignore[arg-type]  # as a test names them


@pytest.mark.parametrize(
    ("topic", "data", "types"),
    [
        ("job.quoted", {}, ("job.quoted",)),
        ("job.preparing", {}, ()),
        ("job.slicing", {"permille": 200}, ()),
        ("job.queued", {}, ("job.queued",)),
        ("job.claimed", {}, ()),
        ("run.claimed", {}, ()),
        ("run.start_sent", {}, ()),
        ("run.running", {"from": "start_sent"}, ("job.started",)),
        ("run.running", {"from": "unclear"}, ("job.started",)),
        ("run.running", {"from": "paused"}, ("job.resumed",)),
        ("run.paused", {"from": "running"}, ("job.paused",)),
        ("run.unclear", {"from": "start_sent"}, ("run.unclear",)),
        ("run.finished", {}, ()),
        ("job.finished", {}, ("job.finished",)),
        ("job.failed", {}, ("job.failed",)),
        ("job.cancelled", {}, ("job.cancelled",)),
        ("usage.recorded", {}, ("usage.recorded",)),
        ("hold.placed", {}, ("hold.placed",)),
        ("hold.captured", {}, ("hold.captured", "charge.created")),
        ("hold.released", {}, ("hold.released",)),
        ("machine.state_changed", {"link": "online", "link_was": "offline"}, ("machine.up",)),
        ("machine.state_changed", {"link": "online", "link_was": "online"}, ()),
        ("machine.state_changed", {"link": "offline", "link_was": "online"}, ("machine.down",)),
        ("machine.state_changed", {"link": "rejected", "link_was": "offline"}, ()),
        ("machine.state_changed", {"activity": "idle"}, ()),
        ("machine.bed_changed", {"to": "clear"}, ("machine.bed_changed",)),
        ("machine.needs_person", {}, ("machine.needs_person",)),
        ("booking.conflict", {}, ("booking.conflict",)),
        ("reservation.cancelled", {}, ("reservation.cancelled",)),
        ("entitlement.expiring", {}, ("entitlement.expiring",)),
        ("kiosk.enrolled", {}, ()),
        ("account.topped_up", {}, ()),
    ],
)
def test_an_event_is_told_under_its_published_names(
    topic: str, data: dict[str, Json], types: tuple[str, ...]
) -> None:
    assert types_of(an_event(topic, data=data)) == types


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("job.finished", True),
        ("job.*", True),
        ("reservation.changed", True),
        ("reservation.*", True),
        ("webhook.test", True),
        ("job.claimed", False),
        ("*", False),
        ("", False),
        ("job.", False),
        ("kiosk.*", False),
    ],
)
def test_only_what_is_published_may_be_asked_for(text: str, may: bool) -> None:
    assert is_topic(text) is may


def test_a_message_says_ids_states_and_amounts_as_money() -> None:
    job, member, run = uuid4(), uuid4(), uuid4()
    event = an_event(
        "hold.captured",
        seq=12,
        job_id=job,
        member_id=member,
        data={"amount_cents": 1201, "quote_id": "q", "rate_bp": 5},
    )

    data = data_of(event, {"id": "m", "name": "Ada"}, [("fabmanager", "42")])

    assert data == {
        "seq": 12,
        "job_id": str(job),
        "member_id": str(member),
        "member_external_ids": [{"system": "fabmanager", "id": "42"}],
        "machine": {"id": "m", "name": "Ada"},
        "amount": {"amount": 1201, "currency": "EUR"},
        "quote_id": "q",
        "rate_bp": 5,
    }
    assert data_of(an_event("job.finished", job_id=job))["job_state"] == "done"
    assert data_of(an_event("run.paused", run_id=run))["run_state"] == "paused"


def test_what_an_event_says_never_covers_an_id_of_ours() -> None:
    job = uuid4()

    assert data_of(an_event("job.failed", job_id=job, data={"job_id": "x", "seq": 99}))["job_id"] == str(job)


def test_a_body_is_ascii_whatever_a_member_wrote() -> None:
    body = body_of("job.failed", NOON, {"reason": "cassé\u0000 \ud800"})

    assert body.isascii()
    assert json.loads(body) == {
        "type": "job.failed",
        "timestamp": "2026-03-02T12:00:00Z",
        "data": {"reason": "cassé\u0000 \ud800"},
    }


def computed_by_the_book(secret: str, id_: str, timestamp: str, payload: bytes) -> str:
    """From the text of the specification (1.0.0, "Signature scheme"), not from our code."""
    assert secret[:6] == "whsec_"
    key = base64.decodebytes(secret[6:].encode())
    digest = hmac.digest(key, b".".join([id_.encode(), timestamp.encode(), payload]), hashlib.sha256)
    return "v1," + base64.encodebytes(digest).decode().strip()


def test_a_signature_is_that_of_the_specification() -> None:
    secret = secret_of(bytes(range(32)))
    body = '{"type":"contact.created","data":{}}'

    made = signed([secret], "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", 1674087231, body)

    assert made == computed_by_the_book(
        secret, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "1674087231", body.encode()
    )
    assert len(key_of(secret)) >= 24


def test_while_a_secret_is_replaced_both_sign() -> None:
    old, new = secret_of(b"o" * 32), secret_of(b"n" * 32)

    marks = signed([new, old], "msg_1", 1, "{}").split(" ")

    assert marks == [computed_by_the_book(s, "msg_1", "1", b"{}") for s in (new, old)]


@pytest.mark.parametrize("secret", ["whsec_???", "whsec_a", "é"])
def test_what_is_no_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError):
        key_of(secret)


def test_a_message_that_never_arrives_is_given_up_after_eleven_tries_in_three_days() -> None:
    delivery, waits, now = a_delivery(), [], NOON
    while delivery.state is DeliveryState.PENDING:
        delivery = after_try(delivery, Tried(status=500), now, chance=0)
        waits.append((delivery.due_at - now).total_seconds())
        now = max(now, delivery.due_at)

    assert delivery.state is DeliveryState.DEAD
    assert delivery.tries == TRIES_MAX == 11
    assert tuple(waits[:-1]) == DELAYS_SECONDS
    assert timedelta(days=2) < now - NOON < timedelta(days=3.5)


def test_the_next_tries_of_many_are_spread_and_stay_within_a_day() -> None:
    waits = {
        (tries, chance): (
            after_try(a_delivery(tries=tries), Tried(), NOON, chance).due_at - NOON
        ).total_seconds()
        for tries in range(TRIES_MAX - 1)
        for chance in (0.0, 0.5, 1.0)
    }

    assert waits[0, 0.0] == 5
    assert waits[0, 1.0] == 6
    assert max(waits.values()) == 86400


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        (503, "120", 120),
        (429, "7", 7),
        (429, " 3600 ", 3600),
        (429, "99999999999999", 86400),
        (503, "Mon, 02 Mar 2026 12:10:00 GMT", 600),
        (503, "Mon, 02 Mar 2020 12:10:00 GMT", 5),
        (503, "soon", 5),
        (503, "-5", 5),
        (503, "", 5),
        (500, "120", 5),
        (301, "120", 5),
    ],
)
def test_a_receiver_that_asks_for_time_gets_it_up_to_a_day(status: int, header: str, wait: int) -> None:
    after = after_try(a_delivery(), answered(status, header, NOON), NOON, chance=0)

    assert (after.due_at - NOON).total_seconds() == max(wait, 5)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, DeliveryState.DELIVERED),
        (204, DeliveryState.DELIVERED),
        (299, DeliveryState.DELIVERED),
        (301, DeliveryState.PENDING),
        (302, DeliveryState.PENDING),
        (400, DeliveryState.PENDING),
        (404, DeliveryState.PENDING),
        (410, DeliveryState.DEAD),
        (500, DeliveryState.PENDING),
    ],
)
def test_only_a_success_counts_as_delivered(status: int, state: DeliveryState) -> None:
    assert after_try(a_delivery(), answered(status, "", NOON), NOON, chance=0).state is state


def test_a_replayed_message_is_the_same_and_has_all_its_tries_again() -> None:
    dead = a_delivery(state=DeliveryState.DEAD, tries=11, ended_at=NOON)

    again = replayed(dead, NOON + timedelta(days=9))
    failed = after_try(again, Tried(status=500), NOON, chance=0)

    assert (again.id, again.body, again.tries) == (dead.id, dead.body, 11)
    assert again.state is failed.state is DeliveryState.PENDING
    assert (failed.due_at - NOON).total_seconds() == DELAYS_SECONDS[0]
