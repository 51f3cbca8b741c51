"""Settings, read once from `etabli.toml` and `ETABLI_*`; a key nobody knows is an error, so that a misspelt
one is told."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.policy import Policy

PREFIX = "ETABLI_"
NOT_SETTINGS = frozenset(
    {"ETABLI_TEST_BUILD", "ETABLI_CRASH_AT", "ETABLI_DAY_SEEDS", "ETABLI_CALLER", "ETABLI_CORPUS_STL"}
)
"""Variables of the test rig and the launcher, read elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field a key; in the environment upper-case with `ETABLI_` before it."""

    data: Path = Path("var/lab")
    database_url: str = ""  # empty: SQLite in the data directory
    secret_file: Path | None = None
    site: str = "main"
    host: str = "127.0.0.1"
    port: int = 8080
    base_url: str = ""  # empty: http://host:port; what links say, never taken from a request
    time_zone: str = "Europe/Paris"
    slicer: str = ""  # path of PrusaSlicer; empty: looked for on PATH
    upload_bytes: int = 1 << 30
    metrics_token: str = ""  # empty: /metrics answers loopback only
    trusted_proxies: str = ""  # addresses, separated by commas
    executor: str = ""  # name of this worker; empty: host name and role
    log_level: str = "INFO"
    outbound_networks: str = ""  # private networks that webhooks and booking systems may be in, as 10.0.0.0/8
    requests_per_minute: int = 1200  # of one token, session or address, before 429; 0: any number
    reads_per_minute: int = 120_000  # the same for what changes nothing: it costs a hundredth
    schedule_age_per_day: int = Policy.age_per_day  # the weights of the queue: orchestrator/domain/policy.py
    schedule_priority: int = Policy.priority
    schedule_share: int = Policy.share
    schedule_deadline: int = Policy.deadline
    schedule_material: int = Policy.material
    schedule_short: int = Policy.short
    schedule_turn: int = Policy.turn
    schedule_half_life_days: int = Policy.half_life_days
    schedule_no_show_minutes: int = Policy.no_show_minutes
    schedule_margin_minutes: int = Policy.margin_minutes
    schedule_deadline_notice_hours: int = Policy.deadline_notice_hours

    @property
    def policy(self) -> Policy:
        """Raises Misconfigured for weights that no queue can have."""
        values = {field.name: getattr(self, f"schedule_{field.name}") for field in fields(Policy)}
        for name, value in values.items():
            least = 1 if name in {"age_per_day", "half_life_days"} else 0
            if not least <= value <= 1_000_000:
                raise Misconfigured(f"schedule_{name} must be from {least} to 1000000, not {value}.")
        return Policy(**values)

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.data / 'etabli.db'}"

    @property
    def address(self) -> str:
        return self.base_url or f"http://{self.host}:{self.port}"

    @property
    def on_postgres(self) -> bool:
        return self.url.startswith("postgresql")


def read_settings(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Defaults, then the file, then the environment. Raises Misconfigured naming the key."""
    env = os.environ if environment is None else environment
    given: dict[str, object] = {}
    if file is not None and file.is_file():
        given.update(_from_file(file))
    for name, value in env.items():
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            given[name.removeprefix(PREFIX).lower()] = value
    known = {field.name: str(field.type) for field in fields(Settings)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise Misconfigured(f"Unknown setting: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    return Settings(**{name: _typed(name, known[name], value) for name, value in given.items()})  # type: ignore[arg-type]


def _from_file(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as wrong:
        raise Misconfigured(f"{file} is not TOML: {wrong}") from wrong


def _typed(name: str, type_name: str, value: object) -> object:
    try:
        if type_name == "int":
            return int(str(value))
        if type_name.startswith("Path"):
            return Path(str(value))
        return str(value)
    except ValueError as wrong:
        raise Misconfigured(f"{name} must be a whole number, not {value!r}.") from wrong
