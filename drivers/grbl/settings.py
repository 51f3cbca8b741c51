"""The driver's settings, read once and checked; every fault names the setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, urlsplit

from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.event import Json

ANSWER_SECONDS = 5.0
BAUDS = (9600, 19200, 38400, 57600, 115200, 230400, 250000, 460800, 921600, 1000000)
PORTS = {"tcp": 0, "telnet": 23, "ws": 80}
"""By scheme, where the address names none; 0: it must."""


@dataclass(frozen=True, kw_only=True)
class Address:
    scheme: str  # `tcp`, `telnet`, `ws` or `serial`
    host: str = ""
    port: int = 0
    path: str = ""  # of the web socket, or the device file
    baud: int = 115200

    @property
    def identity(self) -> str:
        return self.path if self.scheme == "serial" else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    address: Address
    power_max: float | None = None
    bed_mm: tuple[float, float] | None = None
    door: bool = False
    rx_bytes: int | None = None
    answer_seconds: float = ANSWER_SECONDS

    @staticmethod
    def of(connection: Mapping[str, Json]) -> Settings:
        """Raises Misconfigured naming the key that is wrong."""
        unknown = sorted(set(connection) - set(Settings.__dataclass_fields__))
        if unknown:
            raise Misconfigured(f"“{unknown[0]}” is no setting of a Grbl machine.", code="driver.setting")
        door = connection.get("door", False)
        if not isinstance(door, bool):
            raise wrong("door", "true or false")
        rx_bytes = _number(connection, "rx_bytes", 80, 1 << 16)
        return Settings(
            address=_address(connection.get("address")),
            power_max=_number(connection, "power_max", 1, 1e6),
            bed_mm=_bed(connection.get("bed_mm")),
            door=door,
            rx_bytes=None if rx_bytes is None else int(rx_bytes),
            answer_seconds=_number(connection, "answer_seconds", 0.2, 60) or ANSWER_SECONDS,
        )


def wrong(key: str, wanted: str) -> Misconfigured:
    return Misconfigured(f"The machine's setting “{key}” must be {wanted}.", code="driver.setting")


def _number(connection: Mapping[str, Json], key: str, low: float, high: float) -> float | None:
    value = connection.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise wrong(key, f"a number from {low:g} to {high:g}")
    return float(value)


def _bed(value: Json) -> tuple[float, float] | None:
    if value is None:
        return None
    fault = wrong("bed_mm", "two lengths in millimetres, such as [600, 400]")
    if not isinstance(value, list) or len(value) != 2:
        raise fault
    sides = [side for side in value if isinstance(side, int | float) and not isinstance(side, bool)]
    if len(sides) != 2 or not all(1 <= side <= 10_000 for side in sides):
        raise fault
    return float(sides[0]), float(sides[1])


def _address(value: Json) -> Address:
    fault = wrong(
        "address",
        "where the controller answers: tcp://host:port, telnet://host, ws://host/ or serial:///dev/ttyUSB0?baud=115200",
    )
    try:
        url = urlsplit(value if isinstance(value, str) else "")
        port = url.port
    except ValueError as error:
        raise fault from error
    if url.username or url.password or url.fragment:
        raise fault
    if url.scheme == "serial":
        return _serial(url, fault)
    if (
        url.scheme not in PORTS
        or not url.hostname
        or url.query
        or (url.scheme != "ws" and url.path.strip("/"))
    ):
        raise fault
    port = port or PORTS[url.scheme]
    if not port:
        raise fault
    return Address(scheme=url.scheme, host=url.hostname, port=port, path=url.path or "/")


def _serial(url: SplitResult, fault: Misconfigured) -> Address:
    asked = parse_qs(url.query)
    bauds = asked.pop("baud", ["115200"])
    if url.netloc or not url.path.startswith("/dev/") or asked or len(bauds) != 1:
        raise fault
    if not bauds[0].isdecimal() or int(bauds[0]) not in BAUDS:
        raise wrong("address", f"followed by one of the speeds {', '.join(map(str, BAUDS))} as ?baud=")
    return Address(scheme="serial", path=url.path, baud=int(bauds[0]))
