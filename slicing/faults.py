"""The two ways slicing says no: the asker can mend it, or the tool is not there.

A `FileRefused` carries its code, its parameters and both languages, and crosses the process boundary as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from slicing.messages import REFUSALS

Param = str | int | float


class FileRefused(Exception):
    """The file cannot be made as it is, and its sender can do something about it."""

    def __init__(
        self,
        code: str,
        message_en: str,
        seen: str,
        remedy: str,
        *,
        message_fr: str = "",
        remedy_fr: str = "",
        params: Mapping[str, Param] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message_en}")
        self.code = code
        self.message_en = message_en
        self.message_fr = message_fr or message_en
        self.seen = seen
        self.remedy = remedy
        self.remedy_fr = remedy_fr or remedy
        self.params: dict[str, Param] = dict(params or {})

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "seen": self.seen, "params": self.params}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Rebuild from what a child process wrote; a code we do not know is a crash of that child."""
        code, params = str(raw["code"]), dict(raw["params"])
        if code not in REFUSALS:
            code, params = "mesh.crashed", {}
        return cls._worded(code, str(raw["seen"])[:300], params)

    @classmethod
    def _worded(cls, code: str, seen: str, params: Mapping[str, Param]) -> Self:
        words = REFUSALS[code]
        return cls(
            code,
            words.en.format(**params),
            seen,
            words.remedy_en,
            # A word that is another in French travels beside the English one, as `name` and `name_fr`.
            message_fr=words.fr.format(**{n: params.get(f"{n}_fr", value) for n, value in params.items()}),
            remedy_fr=words.remedy_fr,
            params=params,
        )


def refused(code: str, *, seen: str = "", **params: Param) -> FileRefused:
    """The refusal `code` with its sentence filled in; `seen` defaults to the parameters themselves."""
    shown = seen or ", ".join(f"{name}={value}" for name, value in params.items())
    return FileRefused._worded(code, shown, params)


class SlicerUnavailable(Exception):
    """The tool is missing, crashed, hung or ran out of memory: the file is not to blame. `words` are the
    tool's own.
    """

    def __init__(self, reason: str, words: str = "") -> None:
        super().__init__(f"{reason}: {words}" if words else reason)
        self.reason = reason
        self.words = words
