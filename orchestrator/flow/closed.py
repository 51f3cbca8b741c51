"""A lab without a door outward and without a key: what a Workbench has until it is given better. Both say no."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.errors import Misconfigured, Unavailable
from orchestrator.ports import Answer


class NoOutbound:
    """Implements `orchestrator.ports.Outbound`: nothing leaves."""

    async def check(self, url: str) -> None:
        raise Unavailable("Nothing leaves this lab.", code="outbound.closed")

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
        raise Unavailable("Nothing leaves this lab.", code="outbound.closed")


class NoSeal:
    """Implements `orchestrator.ports.Seal`: no secret is kept unsealed for want of a key."""

    def seal(self, plain: str) -> str:
        raise Misconfigured("There is no key to seal secrets with.", code="seal.key")

    def unseal(self, sealed: str) -> str:
        raise Misconfigured("There is no key to open secrets with.", code="seal.key")
