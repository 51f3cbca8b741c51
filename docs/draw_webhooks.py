"""Draw the table of docs/webhooks.md from `orchestrator/domain/webhook.py`:
`python -m docs.draw_webhooks > docs/webhooks.new && mv docs/webhooks.new docs/webhooks.md`."""

from __future__ import annotations

from pathlib import Path

from orchestrator.domain.webhook import DELAYS_SECONDS, PUBLISHED, TEST_TYPE

PAGE = Path(__file__).parent / "webhooks.md"
BEGIN, END = "<!-- drawn: begin -->", "<!-- drawn: end -->"


def drawing() -> str:
    """What stands between the marks."""
    rows = {row.type: row.says for row in PUBLISHED} | {TEST_TYPE: "Somebody pressed the button."}
    types = "\n".join(f"| `{name}` | {says} |" for name, says in rows.items())
    waits = ", ".join(map(_span, DELAYS_SECONDS))
    return (
        f"A message is tried {len(DELAYS_SECONDS) + 1} times; between one try and the next pass {waits}, each up to "
        f"a fifth longer by chance, none more than a day.\n\n| type | says |\n|---|---|\n{types}\n"
    )


def _span(seconds: int) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def page(text: str) -> str:
    """The page with a fresh drawing."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{drawing()}{END}{after}"


if __name__ == "__main__":
    print(page(PAGE.read_text("utf-8")), end="")
