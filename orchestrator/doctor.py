"""`etabli doctor`: what is here, what is missing, and what to do about it. It changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from dataclasses import dataclass

from orchestrator.clock import SystemClock
from orchestrator.domain.errors import EtabliError
from orchestrator.settings import Settings
from orchestrator.store.sql import SqlStore
from slicing.vector import svgusvg
from slicing.workshop import SandboxedWorkshop

WAL_RESET_FIXED = (3, 51, 3)


@dataclass(frozen=True, kw_only=True)
class Finding:
    good: bool
    what: str
    words: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.good else 'LOOK'}  {self.what}: {self.words}"


async def examine(settings: Settings) -> list[Finding]:
    """Every finding, good or not."""
    return [
        Finding(good=sys.version_info >= (3, 11), what="Python", words=sys.version.split()[0]),
        _sqlite(),
        _disk(settings),
        *await _workshop(settings),
        await _database(settings),
    ]


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version
    fixed = sqlite3.sqlite_version_info >= WAL_RESET_FIXED
    words = version if fixed else f"{version}; Établi keeps to one writer, which avoids its WAL-reset fault"
    return Finding(good=True, what="SQLite", words=words)


def _disk(settings: Settings) -> Finding:
    place = next(p for p in [settings.data.absolute(), *settings.data.absolute().parents] if p.exists())
    free = shutil.disk_usage(place).free
    return Finding(good=free > 2 << 30, what="Disk", words=f"{free >> 30} GiB free at {place}")


async def _workshop(settings: Settings) -> list[Finding]:
    workshop = SandboxedWorkshop(settings.slicer or None)
    try:
        slicer = await workshop.slicer_version()
        return [
            Finding(
                good=bool(slicer),
                what="Slicer",
                words=slicer or "none found: quotes work, prints wait. Install prusa-slicer or set `slicer`.",
            ),
            Finding(good=workshop.backend == "bubblewrap", what="Sandbox", words=workshop.backend),
            Finding(
                good=svgusvg.has_fonts(),
                what="Letters",
                words="DejaVu fonts are here"
                if svgusvg.has_fonts()
                else "no fonts: text in drawings is left out. Install fonts-dejavu-core.",
            ),
        ]
    finally:
        await workshop.close()


async def _database(settings: Settings) -> Finding:
    kind = "PostgreSQL" if settings.on_postgres else "SQLite"
    if not settings.on_postgres and not (settings.data / "etabli.db").exists():
        return Finding(good=True, what="Database", words=f"{kind}, made at the first start")
    try:
        store = await SqlStore.open(settings.url, SystemClock())
        try:
            faults = await store.verify()
        finally:
            await store.close()
    except EtabliError as down:
        return Finding(good=False, what="Database", words=f"{kind}: {down.detail}")
    books = "; ".join(faults) or "balanced"
    return Finding(good=not faults, what="Database", words=f"{kind}, books: {books}")
