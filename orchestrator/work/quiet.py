"""What DBOS may write to the log: warnings and worse, through our handlers, nothing that is told already."""

from __future__ import annotations

import logging

from orchestrator.work.stages import WorkFailed


def quieten() -> None:
    """Before DBOS starts, which would otherwise make itself a handler and write to the console."""
    log = logging.getLogger("dbos")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    log.setLevel(logging.WARNING)
    if _is_news not in log.filters:
        log.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], WorkFailed))
