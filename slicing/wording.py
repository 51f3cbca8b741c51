"""Our warnings in the heart's words."""

from __future__ import annotations

from orchestrator.domain.file import Severity, Warning
from slicing.results import MeshWarning

SEVERITIES = {"note": Severity.INFO, "warning": Severity.WARNING, "question": Severity.QUESTION}


def warning(w: MeshWarning) -> Warning:
    return Warning(
        rule=w.code,
        severity=SEVERITIES[w.severity],
        texts={"en": w.text_en, "fr": w.text_fr},
        remedies={"en": w.remedy_en, "fr": w.remedy_fr} if w.remedy_en else {},
        places=w.place,
        params=dict(w.params),
    )
