"""The one hand on the real clock; everything else is given a Clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Implements `orchestrator.ports.Clock` with the computer's own time."""

    def now(self) -> datetime:
        """Aware UTC; it may jump, so spans are measured with `monotonic`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
