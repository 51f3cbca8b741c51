"""What the web face must be told. Read and checked elsewhere; here it is only a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """`base_url` (without a trailing slash) is what links are made of; a request's Host never is."""

    base_url: str
    secure_cookies: bool
    time_zone: str = "Europe/Paris"  # of the site: what clock the pages show
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-For is believed
    metrics_token: str = ""  # empty: /metrics answers loopback only
    header_seconds: float = 10.0  # a connection that has not sent a whole header by then is closed
    body_stall_seconds: float = 10.0  # … and so is one whose body stops for so long
    body_bytes_per_second_min: int = 8 * 1024  # averaged over `body_rate_window_seconds`
    body_rate_window_seconds: float = 30.0
    connections_per_peer_max: int = 100
    uploads_per_member_max: int = 8
    streams_per_member_max: int = 6
    requests_per_minute: int = 0  # of one token, session or address, before 429; 0: any number
    reads_per_minute: int = 0  # the same for what changes nothing
    heartbeat_seconds: float = (
        15.0  # a silent event stream says so often that it lives, and looks whether it still may
    )
