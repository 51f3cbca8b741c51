"""How a booking system is asked, whatever it answers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestrator.bookings.wire import Asked, checked, instant, next_page, pause_seconds, read_json, rows
from orchestrator.domain.errors import EtabliError, Misconfigured, Rejected, Unavailable
from orchestrator.ports import Answer
from tests.fakes.clock import FakeClock

HERE = "https://fab.example.org/open_api/v1/reservations?page=1"


@pytest.mark.parametrize(
    ("link", "following"),
    [
        ("", None),
        ('<https://fab.example.org/x?page=2>; rel="next"', "https://fab.example.org/x?page=2"),
        (
            '<https://fab.example.org/x?page=9>; rel="last", </x?page=2>; rel="next"',
            "https://fab.example.org/x?page=2",
        ),
        ('</x?page=2>; title="a, b"; rel=next', "https://fab.example.org/x?page=2"),
        ('</x?page=2>; rel="nextish"', None),
        ("<" * 9000, None),
    ],
)
def test_the_next_page_is_where_the_link_says(link: str, following: str | None) -> None:
    assert next_page(HERE, link) == following


@pytest.mark.parametrize(
    "link", ["<https://elsewhere.example/x>; rel=next", "<http://fab.example.org/x>; rel=next"]
)
def test_our_token_goes_to_no_other_host(link: str) -> None:
    with pytest.raises(Rejected) as refused:
        next_page(HERE, link)
    assert refused.value.code == "source.elsewhere"


class Circle:
    """Each page leads back to the first."""

    async def check(self, url: str) -> None:
        """All is well."""

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        limit_bytes: int = 64 << 10,
        timeout_seconds: float = 10.0,
    ) -> Answer:
        return Answer(status=200, headers={"link": f"<{url}>; rel=next"}, body=b"[]")


async def test_pages_that_go_in_circles_end() -> None:
    asked = Asked(Circle(), FakeClock(), "https://fab.example.org", {})
    with pytest.raises(Rejected) as refused:
        async for _ in asked.pages("x", []):
            pass
    assert refused.value.code == "source.endless"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None),
        (204, None),
        (302, Misconfigured),
        (400, Rejected),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (409, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_a_status_is_one_of_our_errors(status: int, error: type[EtabliError] | None) -> None:
    answer = Answer(status=status, headers={}, body=b"")
    if error is None:
        assert checked(answer) is answer
    else:
        with pytest.raises(error):
            checked(answer)


@pytest.mark.parametrize(("asked", "waits"), [("", 2), ("0", 2), ("7", 7), ("soon", 2), ("²", 2)])
def test_a_pause_is_as_long_as_asked_and_never_nothing(asked: str, waits: int) -> None:
    assert pause_seconds(asked) == waits


def test_a_pause_longer_than_a_poll_is_left_to_the_next_one() -> None:
    with pytest.raises(Unavailable):
        pause_seconds("3600")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected):
        read_json(Answer(status=200, headers={}, body=body))


@pytest.mark.parametrize("page", [None, 7, {}, {"users": 7}, {"users": [7]}, []])
def test_a_list_that_is_none_is_refused(page: object) -> None:
    with pytest.raises(Rejected):
        rows(page, "users")


def test_an_instant_without_offset_is_the_sites() -> None:
    assert str(instant("2026-07-01T10:00:00", "Europe/Paris")) == "2026-07-01 08:00:00+00:00"
    assert str(instant("2026-07-01T10:00:00.000-04:00", "Europe/Paris")) == "2026-07-01 14:00:00+00:00"
    assert [instant(value, "UTC") for value in (None, 7, "", "tomorrow", "0001-01-01T00:00:00+14:00")] == [
        None
    ] * 5
