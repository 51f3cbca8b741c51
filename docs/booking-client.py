"""A booking system in forty lines: book a slot, have a file made in it, read the charge. See docs/booking.md.

python docs/booking-client.py http://127.0.0.1:8080 BOOKING_TOKEN MEMBER_TOKEN part.stl
"""

import json
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen


def ask(method: str, path: str, token: str, body: object = None, **headers: str) -> dict:
    """The answer; `urllib.error.HTTPError` for a refusal, whose body says every rule that was broken."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} | headers
    with urlopen(Request(f"{base}/api/v1{path}", data, sent, method=method), timeout=60) as answer:
        return json.load(answer)


base, booking, member, file = sys.argv[1:5]
me = ask("GET", "/me", member)
who = {"system": "booking-client", "external_id": me["id"]}
ask("PUT", f"/members/booking-client/{me['id']}", booking, {"email": me["email"], "name": me["name"]})

start, end = (datetime.now(UTC) + timedelta(hours=h) for h in (0, 4))
slot = {"machine_class": "fdm", "member": who, "starts_at": f"{start:%FT%TZ}", "ends_at": f"{end:%FT%TZ}"}
slot = ask("PUT", f"/reservations/booking-client/{uuid.uuid4()}", booking, slot)
print("booked", slot["external_id"], "on machine", slot["machine_id"])

form = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{Path(file).name}"\r\n\r\n'.encode()
upload = form + Path(file).read_bytes() + b"\r\n--x--\r\n"
sent = ask("POST", "/files", member, upload, **{"Content-Type": "multipart/form-data; boundary=x"})
quote = ask("POST", "/quotes", member, {"file_id": sent["id"], "process": {}, "quantity": 1})
print("costs at most", quote["hold"]["amount"] / 100, quote["hold"]["currency"])

job = ask("POST", "/jobs", member, {"quote_id": quote["id"]}, **{"Idempotency-Key": str(uuid.uuid4())})
while job["state"] in {"preparing", "queued", "active"}:
    time.sleep(1)
    job = ask("GET", f"/jobs/{job['id']}", member)
print("the job is", job["state"])

charges, after = [], "0"
while after is not None:  # a real one keeps the last `seq` it has seen, and begins there the next time
    page = ask("GET", f"/charges?after={after}", booking)
    charges, after = charges + page["items"], page["next"]
print(json.dumps(next(row for row in charges if row["job_id"] == job["id"])))
