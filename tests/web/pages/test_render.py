"""Every page in every language renders, escapes what people typed, and needs nothing the policy forbids."""

from __future__ import annotations

import hashlib
import json
import re
from enum import Enum
from html.parser import HTMLParser

import pytest

from orchestrator.domain.event import JOB_TOPICS
from orchestrator.domain.job import JobState, Priority
from orchestrator.domain.machine import Activity, Bed, Link
from orchestrator.domain.matching import WINDOW_RULES, Until
from orchestrator.domain.member import Level, Permission, Public
from orchestrator.domain.policy import Policy
from orchestrator.domain.presence import CHECKLIST, ReleasePolicy
from orchestrator.domain.process import Colour, CutKind, Material, Quality, Turn
from orchestrator.domain.quote import Confidence
from orchestrator.domain.run import Cause, RunState
from orchestrator.domain.tariff import LineKind
from orchestrator.domain.usage import Source
from orchestrator.flow import availability
from orchestrator.flow.act import Verdict
from orchestrator.flow.release import Closing, Judgement
from tests.builders import a_member
from tests.web.pages.cutviews import CUT_SHEETS
from tests.web.pages.planviews import PLAN_SHEETS, empty_plan_sheets
from tests.web.pages.views import EVIL, a_reader, advice_part, empty_sheets
from tests.web.pages.views import SHEETS as PRINT_SHEETS
from web.pages import board, labels, queueing, reasons, timeline
from web.pages.i18n import LOCALES
from web.pages.render import STATIC, WEB, Renderer
from web.pages.tokens import SCOPES

RENDERER = Renderer()
SHEETS = {**PRINT_SHEETS, **CUT_SHEETS, **PLAN_SHEETS}
EMPTY = [*empty_sheets(), *empty_plan_sheets()]
VOID = {"meta", "link", "input", "img", "br"}


class Outline(HTMLParser):
    """Checks nesting and collects what matters of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.feed(html)
        self.faults += [f"not closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.faults += [f"inline: {name}" for name in named if name == "style" or name.startswith("on")]
        if tag == "script" and "src" not in named:
            self.faults.append("inline script")
        if tag == "input" and named.get("type") not in {"hidden", "file"} and "label" not in self.open:
            self.faults.append(f"an input without a label: {named.get('name')}")
        if tag == "img" and not named.get("alt"):
            self.faults.append(f"a picture without words: {named.get('src')}")
        if tag in {"h1", "h2"}:
            self.headings.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Drawings only."""

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"wrongly closed: {tag}")


def render(name: str, locale: str) -> str:
    sheet = SHEETS[name](locale)
    reader = a_reader(a_member(role=sheet.role) if sheet.role else None, locale=locale)
    if sheet.role is None:
        reader = a_reader(locale=locale, path="/sign-in")
    return RENDERER.render(sheet.template, reader, **sheet.values)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", SHEETS)
def test_a_page_is_whole_and_shows_no_markup_that_somebody_typed(name: str, locale: str) -> None:
    html = render(name, locale)
    outline = Outline(html)

    assert outline.faults == []
    assert len(outline.ids) == len(set(outline.ids)), "an id stands twice"
    assert outline.headings.count("h1") == 1
    assert f'lang="{locale}"' in html
    assert "<script>alert" not in html
    assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in html


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("number", range(len(EMPTY)))
def test_an_empty_page_says_what_to_do(number: int, locale: str) -> None:
    sheet = EMPTY[number]

    html = RENDERER.render(sheet.template, a_reader(a_member(role=sheet.role), locale=locale), **sheet.values)

    assert 'class="empty"' in html
    assert Outline(html).faults == []


@pytest.mark.parametrize("locale", LOCALES)
def test_the_advice_is_a_part_without_faults_that_shows_no_markup_that_somebody_typed(locale: str) -> None:
    html = RENDERER.render("_advice.html", a_reader(locale=locale), **advice_part())

    assert Outline(html).faults == []
    assert "<script>alert" not in html
    assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in html


def test_the_outline_sees_what_the_policy_forbids() -> None:
    faults = Outline('<p style="x" onclick="y"><b></p><script>1</script><input name="n">').faults

    assert {"inline: style", "inline: onclick", "inline script", "an input without a label: n"} <= set(faults)
    assert "wrongly closed: p" in faults


def test_a_page_in_french_speaks_french() -> None:
    html = render("board", "fr")

    assert "Le plateau est libre" in html
    assert "The bed is clear" not in html


def test_every_form_carries_the_form_token() -> None:
    for name in SHEETS:
        sheet = SHEETS[name]("en")
        reader = a_reader(csrf_field='<input type="hidden" name="csrf" value="token">')

        html = RENDERER.render(sheet.template, reader, **sheet.values)

        assert html.count("<form") == html.count('name="csrf"'), name


@pytest.mark.parametrize(
    ("table", "members"),
    [
        (labels.JOB_STATES, JobState),
        (labels.RUN_STATES, RunState),
        (labels.CAUSES, Cause),
        (labels.MATERIALS, Material),
        (SCOPES, Permission),
        (labels.COLOURS, Colour),
        (labels.PRIORITIES, Priority),
        (labels.PUBLICS, Public),
        (labels.LEVELS, Level),
        (labels.MATERIAL_HINTS, Material),
        (labels.QUALITIES, Quality),
        (labels.TURNS, Turn),
        (labels.CONFIDENCES, Confidence),
        (labels.LINE_KINDS, LineKind),
        (reasons.UNTIL, Until),
        (labels.CUT_KINDS, CutKind),
        (labels.RELEASES, ReleasePolicy),
        (labels.JUDGEMENTS, Judgement),
        (labels.CLOSINGS, Closing),
        (labels.SOURCES, Source),
    ],
)
def test_everything_that_can_be_shown_has_a_name(table: object, members: type[Enum]) -> None:
    assert set(table) == set(members)  # type: ignore[call-overload]


def test_every_verdict_is_offered() -> None:
    assert {choice.value for choice in labels.VERDICTS} == {verdict.value for verdict in Verdict}


def test_beds_links_and_job_moves_have_words() -> None:
    assert set(labels.BEDS) == {bed.value for bed in Bed}
    assert {link.value for link in Link} - {"online"} <= set(reasons.SEEN)
    assert {a.value for a in (Activity.ATTENTION, Activity.FAULT, Activity.BUSY, Activity.UNKNOWN)} <= set(
        reasons.SEEN
    )
    told = (WEB / "pages" / "story.py").read_text("utf-8")
    assert [
        topic for topic in JOB_TOPICS.values() if f'"{topic}"' not in told and topic != "job.claimed"
    ] == []


def test_every_matching_rule_has_words() -> None:
    source = (WEB.parent / "orchestrator" / "domain" / "matching.py").read_text("utf-8")
    rules = set(re.findall(r'rule="(\w+)"', source)) | set(
        re.findall(r'rule = "(\w+)" if .* else "(\w+)"', source)[0]
    )
    rules |= {"foreign", "activity"} | set(WINDOW_RULES.values())

    assert rules == set(reasons.REFUSALS)


def test_every_term_of_a_score_and_every_kind_of_window_has_words() -> None:
    source = (WEB.parent / "orchestrator" / "domain" / "order.py").read_text("utf-8")
    terms = set(re.findall(r'\("(\w+)", ', source))

    assert terms == set(queueing.TERMS) == set(queueing.SETTINGS)
    assert set(queueing.weights(Policy())) == terms
    assert set(availability.KINDS.values()) <= set(timeline.KINDS)


def test_every_interlock_has_words_at_the_machine() -> None:
    domain, flow = WEB.parent / "orchestrator" / "domain", WEB.parent / "orchestrator" / "flow"
    source = "".join(
        path.read_text("utf-8")
        for path in (domain / "interlocks.py", flow / "attend.py", flow / "release.py")
    )
    rules = set(re.findall(r'Refusal\(\s*rule="(\w+)"', source))

    assert rules == set(reasons.INTERLOCKS)
    assert set(labels.CHECKS) == set(CHECKLIST)
    assert set(reasons.HOLDS) <= rules


def test_the_troubles_that_need_somebody_have_words() -> None:
    source = (WEB.parent / "orchestrator" / "flow" / "supervise.py").read_text("utf-8")
    reasons = set(re.findall(r'needs_person\("(\w+)"', source)) - {"run_unclear"}  # a state of its own

    assert reasons == set(board.TROUBLES)


def test_vendored_files_are_the_ones_that_the_manifest_names() -> None:
    vendor = STATIC / "vendor"
    manifest = json.loads((vendor / "manifest.json").read_text("utf-8"))
    named = {name: digest for package in manifest for name, digest in package["files"].items()}

    found = {
        path.relative_to(vendor).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }

    assert found == named
    assert all(package["version"] and package["licence"] for package in manifest)


def test_every_name_that_a_template_takes_from_a_module_is_there() -> None:
    modules = {"labels": labels, "reasons": reasons, "queueing": queueing}
    taken = {
        (template.name, module, name)
        for template in (WEB / "templates").glob("*.html")
        for module, name in re.findall(r"\b(labels|reasons|queueing)\.(\w+)", template.read_text("utf-8"))
    }

    assert len(taken) > 40
    assert [row for row in sorted(taken) if not hasattr(modules[row[1]], row[2])] == []
