"""The proof that a request comes from a device that stands at a machine: a signature by a key that cannot leave it.

The device signs method, path, its time and its body with ECDSA P-256 (WebCrypto's ECDSA with SHA-256, so a browser can
hold the key without being able to give it away). Its times only ascend, so that nothing heard can be said again.
"""

from __future__ import annotations

import base64
import hashlib
from uuid import UUID

from aiohttp import web
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from orchestrator.domain.errors import Fault, Forbidden, NotFound, Rejected
from orchestrator.domain.presence import Kiosk
from orchestrator.flow import release
from web.bodies import read_raw
from web.keys import CALLER, KIOSK, LAB

KIOSK_HEADER, TIME_HEADER, SIGNATURE_HEADER = "Etabli-Kiosk", "Etabli-Time", "Etabli-Signature"
PROOF_HEADERS = (KIOSK_HEADER, TIME_HEADER, SIGNATURE_HEADER)
SKEW_SECONDS_MAX = 30
"""How far the device's clock may be from ours."""
_NUMBER_BYTES = 32


def read_public_key(text: str) -> str:
    """The key in one spelling. Raises Rejected for anything but an ECDSA P-256 key in SubjectPublicKeyInfo, base64."""
    try:
        raw = base64.b64decode(text, validate=True)
        key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as wrong:  # the latter: a curve that nobody has heard of
        raise _no_key() from wrong
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _no_key()
    return base64.b64encode(raw).decode()


def _no_key() -> Rejected:
    fault = Fault(
        rule="kiosk.key",
        where="public_key",
        remedy="Send an ECDSA P-256 public key as SubjectPublicKeyInfo in base64.",
    )
    return Rejected("This is no key of such a device.", code="kiosk.key", faults=(fault,))


def signed_words(method: str, path: str, time_ms: str, body: bytes) -> bytes:
    """What the device signs: four lines."""
    return "\n".join((method, path, time_ms, hashlib.sha256(body).hexdigest())).encode()


async def prove(request: web.Request) -> None:
    """The device that stands at the machine of this path, under KIOSK.

    Raises NotFound for a machine that is not there, Forbidden without a proof. Who tried to release from elsewhere is
    kept in the log.
    """
    lab = request.app[LAB]
    machine_id = _machine_id(request)
    if await lab.store.read(lambda unit: unit.machine(machine_id)) is None:
        raise NotFound("There is no such machine.")
    try:
        kiosk = await _proven(request)
        if kiosk.machine_id != machine_id:
            raise Forbidden("This device stands at another machine.", code="kiosk.elsewhere")
    except Forbidden as no:
        caller = request.get(CALLER)
        if not request.path.endswith("/release"):
            raise
        who = caller.member if caller else None
        raise await release.refuse_remote(lab, who, machine_id, no.code) from no
    request[KIOSK] = kiosk


def _machine_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise NotFound("There is no such machine.") from None


async def _proven(request: web.Request) -> Kiosk:
    lab = request.app[LAB]
    name, time_ms, signature = (request.headers.get(header, "") for header in PROOF_HEADERS)
    kiosk = await _known(request, name)
    body = await read_raw(request)
    if not _is_signed(kiosk, signed_words(request.method, request.path, time_ms, body), signature):
        raise Forbidden("The signature is not this device's.", code="kiosk.signature")
    told_at_ms = int(time_ms) if time_ms.isascii() and time_ms.isdigit() and len(time_ms) <= 15 else 0
    if abs(told_at_ms / 1000 - lab.clock.now().timestamp()) > SKEW_SECONDS_MAX:
        raise Forbidden("The device's clock is wrong.", code="kiosk.clock")
    if not await lab.store.write(lambda unit: unit.kiosk_told(kiosk.id, told_at_ms)):
        raise Forbidden("This was said before.", code="kiosk.replay")
    return kiosk


async def _known(request: web.Request, name: str) -> Kiosk:
    try:
        kiosk_id = UUID(name)
    except ValueError:
        raise Forbidden("Only a device at the machine may say this.", code="kiosk.none") from None
    kiosk = await request.app[LAB].store.read(lambda unit: unit.kiosk(kiosk_id))
    if kiosk is None or kiosk.revoked_at is not None:
        raise Forbidden("This device is not, or no longer, enrolled.", code="kiosk.unknown")
    return kiosk


def _is_signed(kiosk: Kiosk, words: bytes, signature: str) -> bool:
    """WebCrypto writes the two numbers one behind the other; the library wants them in DER."""
    key = load_der_public_key(base64.b64decode(kiosk.public_key))
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:  # no base64, or no ASCII
        return False
    if len(raw) != 2 * _NUMBER_BYTES or not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    r, s = int.from_bytes(raw[:_NUMBER_BYTES]), int.from_bytes(raw[_NUMBER_BYTES:])
    try:
        key.verify(encode_dss_signature(r, s), words, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
