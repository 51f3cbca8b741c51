"""Secrets at rest: AES-256-GCM under a key that lies in a file of its own, never in the database.

Owns the key file and the form of a sealed text. Refuses to know what the secrets are for. Whoever steals a backup of
the database has the sealed texts and not the key: keep the two backups apart.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestrator.domain.errors import Misconfigured

KEY_BYTES = 32
NONCE_BYTES = 12
FORM = "s1"  # AES-256-GCM, nonce before the text, base64url; the first part of every sealed text
KEY_NAME = "secret.key"


class AesSeal:
    """Implements `orchestrator.ports.Seal`."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Misconfigured(f"The key must have {KEY_BYTES} bytes, not {len(key)}.", code="seal.key")
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> AesSeal:
        """The key in that file, which is made at the first start, for its owner alone. Raises Misconfigured where it
        holds something else or others may read it."""
        try:
            _make(path)
            text, mode = path.read_text("ascii"), path.stat().st_mode
        except (OSError, UnicodeDecodeError) as wrong:
            raise Misconfigured(
                f"The key file {path.name} cannot be read: {wrong}.", code="seal.key"
            ) from wrong
        if mode & 0o077:
            raise Misconfigured(
                f"Others may read the key file {path.name}. Do: chmod 600 {path.name}", code="seal.key"
            )
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except binascii.Error as wrong:
            raise Misconfigured(f"The key file {path.name} holds no key.", code="seal.key") from wrong

    def seal(self, plain: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain.encode(), FORM.encode())
        return f"{FORM}.{base64.urlsafe_b64encode(sealed).decode()}"

    def unseal(self, sealed: str) -> str:
        """Raises Misconfigured where it cannot be opened: another key, or altered."""
        form, _, text = sealed.partition(".")
        try:
            if form != FORM:
                raise ValueError(form)
            raw = base64.urlsafe_b64decode(text.encode())
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], FORM.encode()).decode()
        except (InvalidTag, ValueError) as wrong:
            raise Misconfigured(
                "A sealed secret cannot be opened with the key of this lab: put the right key file back.",
                code="seal.key",
            ) from wrong


def _make(path: Path) -> None:
    """Whole or not at all, and once: of two processes that start together one makes it, both read that one."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(whole, path)
    except FileExistsError:
        pass  # somebody was faster
    finally:
        whole.unlink()
