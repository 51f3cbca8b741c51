"""Wakes whoever reads the event log, once the events are committed. Carries numbers, never events.

In one process a commit tells the Feed directly. Several processes on PostgreSQL tell one another by NOTIFY; it is a
wake-up only, so one that is lost with its connection costs nothing: after reconnecting the log's head is read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL

from orchestrator.ports import Clock

CHANNEL = "etabli_events"
RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
KEEP_ALIVE_SECONDS = 30.0


class Feed:
    """Implements `orchestrator.ports.Feed`. A thousand waiters share one signal."""

    def __init__(self, head: int = 0) -> None:
        self._head = head
        self._moved = asyncio.Event()

    @property
    def head(self) -> int:
        """The last committed event that this process knows of."""
        return self._head

    async def wait(self, after: int) -> int:
        """Return the log's head as soon as it is past `after` (at once where it already is)."""
        while self._head <= after:
            await self._moved.wait()
        return self._head

    def publish(self, head: int) -> None:
        """Say that events up to `head` are committed; an older head says nothing new."""
        if head <= self._head:
            return
        self._head = head
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


async def listen(url: URL, feed: Feed, head: Callable[[], Awaitable[int]], clock: Clock) -> None:
    """Follow other processes' commits on a connection of its own, for ever; reconnects by itself.

    `head` reads the log's head: what was committed while nobody listened is found with it.
    """
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    tries = 0
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                address, autocommit=True, connect_timeout=5
            ) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                feed.publish(await head())
                tries = 0
                await _follow(connection, feed)
        except psycopg.OperationalError:
            await clock.sleep(RECONNECT_SECONDS[min(tries, len(RECONNECT_SECONDS) - 1)])
            tries += 1


async def _follow(connection: psycopg.AsyncConnection, feed: Feed) -> None:
    while True:
        async for note in connection.notifies(timeout=KEEP_ALIVE_SECONDS):
            feed.publish(int(note.payload))
        await connection.execute("SELECT 1")  # silence may be a dead connection
