"""How fast somebody may ask: a bucket of requests for each token, session or address, that refills all the time.

Only what has proven itself has a bucket of its own; an invented token is its sender's address. Whoever floods us thus
is stopped before anything is looked up, and nobody makes room for themselves by pushing others out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from hashlib import blake2b

from orchestrator.ports import Clock
from web.errors import TooMany
from web.identity import network_of

KNOWN_MAX = 10_000
"""Buckets kept, the least lately used go first: some 2 MB."""
ROUNDING = 1e-6


class Pace:
    """`per_minute` at once, and so many a minute after that; 0: as fast as anybody likes."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._clock = clock
        self._interval = 60 / per_minute if per_minute > 0 else 0.0
        self._depth = 60 - self._interval  # how far ahead of time a bucket may be drawn
        self._drawn: OrderedDict[bytes, float] = (
            OrderedDict()
        )  # until when each is drawn: full once that is past

    def __len__(self) -> int:
        return len(self._drawn)

    def admit(self, credential: str, peer: str) -> None:
        """Count a request. Raises TooMany, which counts as nothing, with the seconds after which one more may come.

        `credential` is the token or cookie that was sent, proven or not; empty: none.
        """
        if not self._interval:
            return
        own = _name(credential) if credential else b""
        self._take(own if own in self._drawn else _name(network_of(peer)))

    def met(self, credential: str) -> None:
        """This token or session has proven itself: from now on it has a bucket of its own."""
        if self._interval and (own := _name(credential)) not in self._drawn:
            self._put(own, self._clock.monotonic())

    def _take(self, who: bytes) -> None:
        now = self._clock.monotonic()
        drawn = max(self._drawn.get(who, now), now)
        wait = drawn - now - self._depth
        if wait > ROUNDING:
            words = "Too many requests; wait before the next one."
            raise TooMany(words, code="too_many_requests", retry_after_seconds=math.ceil(wait - ROUNDING))
        self._put(who, drawn + self._interval)

    def _put(self, who: bytes, drawn: float) -> None:
        self._drawn[who] = drawn
        self._drawn.move_to_end(who)
        if len(self._drawn) > KNOWN_MAX:
            self._drawn.popitem(last=False)


def _name(text: str) -> bytes:
    """Never the secret itself."""
    return blake2b(text.encode(errors="replace"), digest_size=16).digest()
