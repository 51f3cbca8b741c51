"""How we ask a booking system over HTTP: with its token, page after page, patiently, and within limits.

What an answer means is the adapters' affair; here a status becomes one of our errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit
from zoneinfo import ZoneInfo

from orchestrator.domain.errors import Misconfigured, Rejected, Unavailable
from orchestrator.domain.source import Source
from orchestrator.ports import Answer, Clock, Outbound, Seal

ANSWER_BYTES_MAX = 8 << 20
TIMEOUT_SECONDS = 20.0
PAGES_MAX = 200
TRIES = 4
PAUSE_SECONDS = 2  # at least, after 429
PAUSE_SECONDS_MAX = 30

_LINK = re.compile(r'<([^<>]{1,2000})>\s*((?:;\s*[\w*]+\s*=\s*(?:"[^"]*"|[^\s";,]+)\s*)*)')
_REL_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next)(?:\s*;|\s*$)', re.IGNORECASE)


class Asked:
    """One system at one address, asked with one token."""

    def __init__(self, outbound: Outbound, clock: Clock, base: str, headers: Mapping[str, str]) -> None:
        self._outbound = outbound
        self._clock = clock
        self._base = base.rstrip("/") + "/"
        self._headers = dict(headers)

    def url(self, path: str, query: list[tuple[str, str]] | None = None) -> str:
        return urljoin(self._base, path) + (f"?{urlencode(query)}" if query else "")

    async def get(self, path: str, query: list[tuple[str, str]] | None = None) -> Any:
        return read_json(await self.send("GET", self.url(path, query)))

    async def pages(self, path: str, query: list[tuple[str, str]]) -> AsyncIterator[Any]:
        """Each page, along the `Link: rel="next"` that it names. Never leads to another host, never without end."""
        url: str | None = self.url(path, query)
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= PAGES_MAX:
                raise Rejected("The list has no end.", code="source.endless")
            seen.add(url)
            answer = await self.send("GET", url)
            yield read_json(answer)
            url = next_page(url, answer.headers.get("link", ""))

    async def send(self, method: str, url: str, value: object = None) -> Answer:
        """A good answer. 429 is waited out as it asks, a few times."""
        headers = self._headers | {"Accept": "application/json"}
        body = b""
        if value is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(value).encode()
        for _ in range(TRIES):
            answer = await self._outbound.send(
                method,
                url,
                headers,
                body,
                limit_bytes=ANSWER_BYTES_MAX,
                timeout_seconds=TIMEOUT_SECONDS,
            )
            if answer.cut:
                raise Rejected("The answer is too large.", code="source.too_large")
            if answer.status != 429:
                return checked(answer)
            await self._clock.sleep(pause_seconds(answer.headers.get("retry-after", "")))
        raise Unavailable("The booking system asks for patience.", code="source.busy")


def token(seal: Seal, source: Source) -> str:
    """In the clear; empty where the source has none."""
    return seal.unseal(source.secret) if source.secret else ""


def pause_seconds(retry_after: str) -> int:
    asked = int(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else 0
    if asked > PAUSE_SECONDS_MAX:
        raise Unavailable("The booking system asks for more patience than a poll has.", code="source.busy")
    return max(PAUSE_SECONDS, asked)


def checked(answer: Answer) -> Answer:
    """Raises what its status means."""
    match answer.status:
        case status if 200 <= status < 300:
            return answer
        case 401 | 403:
            raise Misconfigured("The booking system refuses our token.", code="source.token")
        case 404 | 410:
            raise Misconfigured("There is nothing at that address.", code="source.address")
        case status if 300 <= status < 400:
            raise Misconfigured("That address only leads elsewhere.", code="source.address")
        case 409:
            raise Unavailable("Somebody else changed it meanwhile.", code="source.conflict")
        case 408 | 425 | 429:
            raise Unavailable("The booking system is busy.", code="source.busy")
        case status if status >= 500:
            raise Unavailable(f"The booking system fails (HTTP {status}).", code="source.fails")
        case status:
            raise Rejected(
                f"The booking system does not take our question (HTTP {status}).", code="source.refused"
            )


def read_json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as wrong:
        raise Rejected("The answer is not JSON.", code="source.json") from wrong


def next_page(url: str, link: str) -> str | None:
    """The address of the next page. Raises Rejected where it is another host's: our token does not go there."""
    for found in _LINK.finditer(link[:8000]):
        if _REL_NEXT.search(found[2]):
            following: str = urljoin(url, found[1])
            if urlsplit(following)[:2] != urlsplit(url)[:2]:
                raise Rejected("The next page would be at another address.", code="source.elsewhere")
            return following
    return None


# --- values out of answers ---------------------------------------------------------------------


def rows(page: Any, name: str | None = None) -> list[dict[str, Any]]:
    """The objects of a list, or of the list of that name. Raises Rejected for anything else."""
    found = page if name is None else page.get(name) if isinstance(page, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Rejected("The answer has not the form it should have.", code="source.form")
    return found


def text(row: Mapping[str, Any], name: str) -> str:
    """A text or a number as text; empty where there is none."""
    value = row.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def instant(value: object, zone: str) -> datetime | None:
    """In UTC; without offset it is the site's time. None for what is no instant."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
