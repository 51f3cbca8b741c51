"""How figures, languages, machines and stories read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestrator.domain.forecast import Instants
from orchestrator.domain.job import JobState
from orchestrator.domain.machine import Abilities, Activity, Bed, Link
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.policy import Policy
from orchestrator.domain.run import RunState
from orchestrator.domain.units import Money
from tests.builders import NOON, a_machine, a_run
from tests.web.pages.views import a_job_view, a_machine_view, a_score, an_event
from web.pages import board, foresight, queueing, reasons, story
from web.pages.formats import formats_of
from web.pages.i18n import accepted, load, supported
from web.pages.labels import Tone

PARIS = ZoneInfo("Europe/Paris")
EN, FR = formats_of("en", PARIS), formats_of("fr", PARIS)


def plain(text: str) -> str:
    """With ordinary spaces: which thin one a language uses is not the point."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (EN.money(Money(120155)), "€1,201.55"),
        (FR.money(Money(120155)), "1 201,55 €"),
        (FR.money(Money(-5)), "-0,05 €"),
        (EN.span(0), "0s"),
        (EN.span(59), "59s"),
        (EN.span(61), "2m"),
        (EN.span(7200), "2h"),
        (FR.span(5400), "1h 30min"),
        (EN.exact_span(3661), "1h 1m 1s"),
        (FR.grams(12_340), "12,3 g"),
        (EN.size((36.02, 25.5, 1000.0)), "36 × 25.5 × 1,000 mm"),
        (FR.percent(437), "43 %"),
        (EN.percent(999), "99%"),
        (FR.bytes(812_345), "812,3 ko"),
        (EN.moment(NOON, NOON), "13:00"),
        (EN.moment(NOON + timedelta(days=1), NOON), "Tue, 13:00"),
        (FR.moment(NOON + timedelta(days=20), NOON), "22 mars, 13:00"),
    ],
)
def test_figures_read_as_people_write_them(shown: str, expected: str) -> None:
    assert plain(shown).replace("−", "-") == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("en", "en"),
        ("en-US,fr;q=0.5", "en"),
        ("de, en;q=0.3, fr;q=0.8", "fr"),
        ("de", "fr"),
        ("en;q=0", "fr"),
        ("en;q=nonsense, ;;,", "fr"),
        ("", "fr"),
    ],
)
def test_the_language_is_the_most_wanted_one_that_we_have(wanted: str, expected: str) -> None:
    assert supported(accepted(wanted)) == expected


LASER = Abilities(size_mm=(600, 400, 0), materials=(), attended=True)


@pytest.mark.parametrize(
    ("machine", "run", "headline", "asks"),
    [
        ({}, None, "Ready", ""),
        ({"bed": Bed.OCCUPIED}, None, "Take the part out", "clear"),
        ({"bed": Bed.UNKNOWN}, None, "Look at the bed", "clear"),
        ({"bed": Bed.OCCUPIED, "held": "nozzle"}, None, "Held back", ""),
        ({"bed": Bed.OCCUPIED, "maintenance": True}, None, "In maintenance", ""),
        ({"link": Link.OFFLINE}, None, "Not connected", ""),
        ({"link": Link.AUTH_FAILED}, None, "Refuses our key", ""),
        ({"activity": Activity.FAULT}, None, "Has a fault", ""),
        ({"activity": Activity.PRINTING}, None, "Printing something of its own", ""),
        ({"material": None}, None, "No material loaded", "load"),
        ({"abilities": LASER, "material": None}, None, "Free, started by hand", ""),
        ({"activity": Activity.PRINTING}, RunState.RUNNING, "Printing", ""),
        ({"link": Link.OFFLINE}, RunState.UNCLEAR, "Unclear: somebody must look", "decide"),
    ],
)
def test_a_machine_says_the_one_thing_that_matters(
    machine: dict[str, Any], run: RunState | None, headline: str, asks: str
) -> None:
    usual: dict[str, Any] = {"bed": Bed.CLEAR, "link": Link.ONLINE, "activity": Activity.IDLE}
    view = a_machine_view(machine=a_machine(**(usual | machine)), run=a_run(state=run) if run else None)

    card = board.card(view)

    assert (card.headline.text, card.asks) == (headline, asks)
    assert card.needs_person == (card.headline.tone is Tone.YOU)


def test_machines_that_need_a_person_come_first() -> None:
    busy = a_machine_view(machine=a_machine(name="A", link=Link.ONLINE), run=a_run(state=RunState.RUNNING))
    off = a_machine_view(machine=a_machine(name="B", link=Link.OFFLINE))
    asking = a_machine_view(
        machine=a_machine(name="C", link=Link.ONLINE, activity=Activity.IDLE, bed=Bed.OCCUPIED)
    )

    assert [card.machine.name for card in board.cards([off, busy, asking])] == ["C", "A", "B"]


def test_a_refusal_speaks_the_readers_language_down_to_the_machines_words() -> None:
    refusal = Refusal(rule="link", reason="The machine is offline.", until=Until.MACHINE, seen="offline")

    said = reasons.refusal_text(refusal, load()["fr"].gettext, FR, NOON)

    assert plain(said) == "Elle est injoignable : éteinte ou absente du réseau."


def test_a_refusal_that_the_clock_ends_says_until_when() -> None:
    ends = NOON + timedelta(hours=3, minutes=40)
    window = Refusal(
        rule="booked_by_other",
        reason="",
        until=Until.TIME,
        seen=NOON.isoformat(),
        needed=ends.isoformat(),
        at=ends,
    )

    said = reasons.refusal_text(window, str, EN, NOON)
    until = reasons.until_text(window, load()["fr"].gettext, FR, NOON)

    assert said == "Held for somebody else, from 13:00 to 16:40: it would not be done before."
    assert until == "jusque vers 16:40"


@pytest.mark.parametrize(
    ("rule", "seen", "needed", "expected"),
    [
        (
            "colour",
            "unknown",
            "red",
            "une autre couleur : rouge ; chargée : une couleur que personne n’a dite.",
        ),
        ("colour", "black", "red", "une autre couleur : rouge ; chargée : noir."),
        ("training_expired", "2026-02-01", "laser", "(découpeuses laser) a expiré le 1 février 2026."),
        ("nozzle", "0.4 mm", "0.6 mm", "une buse de 0.6 mm ; montée : 0.4 mm."),
    ],
)
def test_a_refusal_names_colours_and_days_as_people_do(
    rule: str, seen: str, needed: str, expected: str
) -> None:
    refusal = Refusal(rule=rule, reason="", until=Until.PERSON, seen=seen, needed=needed)

    said = plain(reasons.refusal_text(refusal, load()["fr"].gettext, FR, NOON))

    assert said.endswith(expected)


@pytest.mark.parametrize(
    ("p50", "p90", "expected"),
    [
        (-5, 2, ("any moment now", "at the latest 13:05")),
        (0, 0, ("any moment now", "")),
        (41, 97, ("at about 13:40", "at the latest 14:40")),
        (41, 42, ("at about 13:40", "at the latest 13:45")),
        (60 * 20, 60 * 22, ("tomorrow about 09:00", "at the latest 11:00")),
        (60, 60 * 20, ("at about 14:00", "at the latest tomorrow at 09:00")),
        (60 * 45, 60 * 96, ("Wednesday about 10:00", "at the latest Friday at 13:00")),
    ],
)
def test_a_forecast_is_told_in_words(p50: int, p90: int, expected: tuple[str, str]) -> None:
    at = Instants(p50=NOON + timedelta(minutes=p50), p90=NOON + timedelta(minutes=p90))

    when = foresight.when(at, EN, NOON, str)

    assert (when.about, when.latest) == expected


def test_a_bar_of_points_ends_where_its_score_does() -> None:
    pieces = queueing.slices(a_score(), Policy(), most=2 * a_score().points)

    assert [(piece.name, piece.x + piece.width) for piece in pieces][-1] == ("deadline", 500)
    assert queueing.slices(a_score(), Policy(), most=0)[0].width == 0


def test_a_refusal_without_words_of_ours_falls_back_to_its_own() -> None:
    refusal = Refusal(rule="new", reason="A new reason.", until=Until.MACHINE)

    assert reasons.refusal_text(refusal, str, EN, NOON) == "A new reason."


def test_the_story_tells_what_happened_with_its_figures_and_leaves_out_what_it_has_no_words_for() -> None:
    machine = a_machine(name="Ada")
    view = a_job_view(machines={machine.id: machine})
    events = [
        an_event("hold.placed", amount_cents=1201),
        an_event("job.queued", event="run_lost"),
        an_event("something.new"),
        replace(an_event("run.failed", cause="power"), machine_id=machine.id),
    ]

    told = [chapter.text for chapter in story.chapters(events, view, EN, load()["en"].gettext)]

    assert told == [
        "€12.01 set aside as the maximum price",
        "Back at the head of the queue, at no charge",
        "The attempt on Ada did not finish: a power cut",
    ]


def test_a_risen_price_is_told_with_both_figures() -> None:
    events = [
        an_event("job.quoted", event="above_hold", promised_cents=100, now_cents=150),
        an_event("job.quoted", event="above_hold", promised_cents=165, now_cents=200),
    ]

    risen = story.risen(events, a_job_view(state=JobState.QUOTED))

    assert risen == story.Risen(promised=Money(165), now=Money(200))
    assert story.risen([], a_job_view()) is None


@pytest.mark.parametrize(
    ("state", "run", "operates", "expected"),
    [
        (JobState.QUEUED, None, False, {"cancel"}),
        (JobState.ACTIVE, RunState.RUNNING, False, {"cancel", "pause"}),
        (JobState.ACTIVE, RunState.PAUSED, False, {"cancel", "resume"}),
        (JobState.ATTENTION, RunState.FAILED, False, {"cancel"}),
        (JobState.ATTENTION, RunState.FAILED, True, {"cancel", "retry"}),
        (JobState.ATTENTION, RunState.FINISHED, True, {"cancel", "retry", "settle"}),
        (JobState.DONE, RunState.FINISHED, True, set()),
    ],
)
def test_a_job_offers_what_its_state_allows(
    state: JobState, run: RunState | None, operates: bool, expected: set[str]
) -> None:
    machine = a_machine()
    runs = (a_run(machine_id=machine.id, state=run),) if run else ()
    view = a_job_view(state=state, runs=runs, machines={machine.id: machine})

    buttons = story.buttons(view, operates=operates)

    assert {name for name, offered in vars(buttons).items() if offered} == expected
