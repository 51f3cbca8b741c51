"""The main job by the API, as a client sees it; run by docs/tour.sh. Only the standard library."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

DEADLINE_SECONDS = 120


class Client:
    """JSON over HTTP with a bearer token."""

    def __init__(self, base_url: str, token: str = "") -> None:
        self.base_url = base_url
        self.token = token

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer's JSON; a problem is printed and ends the tour."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        if data is not None and "Content_Type" not in headers:
            headers["Content_Type"] = "application/json"
        request = urllib.request.Request(f"{self.base_url}/api/v1{path}", data, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as problem:
            sys.exit(f"{method} {path} -> {problem.code}: {problem.read().decode()}")

    def upload(self, model: Path) -> Any:
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{model.name}"\r\n\r\n'
        body = head.encode() + model.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        return self.call("POST", "/files", body, Content_Type=f"multipart/form-data; boundary={boundary}")


def money(amount: dict[str, Any]) -> str:
    return f"{amount['amount'] / 100:.2f} {amount['currency']}"


def free_a_bed(base_url: str, token: str) -> None:
    """What the technician does between two prints: look, and say that the bed is clear."""
    technician = Client(base_url, token)
    for machine in technician.call("GET", "/machines")["items"]:
        if machine["bed"] != "clear" and machine["run_id"] is None:
            technician.call("POST", f"/machines/{machine['id']}/clear")


def main(model: Path, demo_file: Path) -> None:
    demo = json.loads(demo_file.read_text())
    base_url, users = demo["base_url"], demo["users"]
    me = Client(base_url, users["member"]["token"])
    begun = time.monotonic()

    file = me.upload(model)
    size = " × ".join(f"{mm:g}" for mm in file["analysis"]["size_mm"])
    print(f"uploaded  {model.name}: {file['kind']}, {size} mm")

    quote = me.call("POST", "/quotes", {"file_id": file["id"], "process": {}, "quantity": 1})
    seconds = quote["estimate"]["print_seconds"]["p50"]
    print(f"quoted    {seconds // 60} min, {money(quote['total'])}, at most {money(quote['hold'])}")
    for line in quote["lines"]:
        print(f"          {line['text']:<24} {money(line['amount']):>12}   {line['explain']}")

    job = me.call("POST", "/jobs", {"quote_id": quote["id"]}, Idempotency_Key=uuid.uuid4().hex)
    state = ""
    while job["state"] not in {"done", "failed", "cancelled", "rejected"}:
        if time.monotonic() - begun > DEADLINE_SECONDS:
            sys.exit(f"after {DEADLINE_SECONDS} s the job is still {job['state']}")
        if job["state"] == "quoted" and state == "quoted":
            sys.exit("the sliced price is above the hold; the tour does not accept it for you")
        if job["state"] != state:
            state = job["state"]
            print(f"job       {state}")
        if state == "queued":
            free_a_bed(base_url, users["tech"]["token"])
        time.sleep(0.5)
        job = me.call("GET", f"/jobs/{job['id']}")

    print(f"job       {job['state']} after {time.monotonic() - begun:.0f} s")
    receipt = job["receipt"]
    for line in receipt["lines"]:
        print(f"          {line['text']:<24} {money(line['amount']):>12}   {line['explain']}")
    print(f"receipt   {money(receipt['total'])} charged, {money(receipt['released'])} of the hold released")
    charged = sum(line["amount"]["amount"] for line in receipt["lines"])
    if job["state"] != "done" or charged != receipt["total"]["amount"]:
        sys.exit("the receipt does not add up")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
