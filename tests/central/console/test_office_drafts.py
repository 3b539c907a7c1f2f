"""Whatever somebody types into the office's forms becomes a value or faults by field, and never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from central.console import criteria_pages
from central.console.record_drafts import ContactDraft, FieldFaults, ServiceDraft, VisitDraft
from central.console.typed import Typed
from central.people.visits import MAX_LENGTH_MS
from central.routines.cards import MAX_LINE, MAX_LINES, CardText, lines_of, text_faults
from central.routines.criteria import MAX_CRITERIA, CriteriaList

T = TypeVar("T")
OSLO = ZoneInfo("Europe/Oslo")
NOW = 1_795_226_400_000  # November 2026
CLOCKS = st.sampled_from(["", "00:00", "02:30", "07:00", "7.5", "2359", "24:00", "\u0661\u0662:00", "i kveld"])
DAYS = st.sampled_from(["", "2026-11-23", "2027-03-28", "2027-10-31", "2026-02-30", "0001-01-01", "9999-12-31", "x"])
WORDS = st.one_of(st.text(max_size=40), st.sampled_from(["TA", "RT", "nb", "fall", "+47 900 00 001", "a@b", "\x00"]))


class Form(dict[str, Any]):
    """As a browser's form is read."""

    def getlist(self, name: str) -> list[Any]:
        found = self.get(name, [])
        return found if isinstance(found, list) else [found]


def forms(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Form]:
    named = {key.replace("__", "."): value for key, value in fields.items()}
    return st.fixed_dictionaries({}, optional=named).map(Form)


def made(work: Callable[[], T]) -> tuple[T | None, set[str]]:
    """What it makes, or the fields that are wrong."""
    try:
        return work(), set()
    except FieldFaults as error:
        return None, set(error.faults)


CONTACTS = forms(
    name=WORDS, relation=WORDS, phone=WORDS, email=WORDS, language=WORDS, source=WORDS, document=WORDS,
    service=st.lists(WORDS, max_size=3), kind=st.lists(WORDS, max_size=3), version=WORDS, from_day=DAYS, to_day=DAYS,
    h0__begin=CLOCKS, h0__to=CLOCKS, h0__day=st.lists(st.sampled_from("0123456789x"), max_size=4),
    h1__begin=CLOCKS, h1__to=CLOCKS, h1__day=st.lists(st.sampled_from("06"), max_size=4),
)  # fmt: skip


@given(CONTACTS)
def test_a_contact_is_one_or_its_faults_stand_at_fields(form: Form) -> None:
    draft = ContactDraft.typed(Typed(form))
    draft.more_hours()
    entry, faults = made(draft.made)
    assert (entry is None) == bool(faults)
    if entry is None:
        return
    assert entry.person.name == draft.name
    assert not entry.agreement.services or entry.person.phone or entry.person.email


@given(forms(day=DAYS, begin=CLOCKS, end=CLOCKS, team=WORDS, version=WORDS))
def test_a_visit_has_times_in_order_or_faults(form: Form) -> None:
    times, faults = made(lambda: VisitDraft.typed(Typed(form)).times(OSLO, NOW))
    assert faults <= {"day", "begin", "end"}
    assert (times is None) == bool(faults)
    if times is None:
        return
    assert times[1] > NOW
    assert 0 < times[1] - times[0] <= MAX_LENGTH_MS + 3_600_000


@given(forms(service=WORDS, from_day=DAYS, to_day=DAYS, plan=WORDS, version=WORDS))
def test_a_service_has_days_or_faults(form: Form) -> None:
    span, faults = made(lambda: ServiceDraft.typed(Typed(form)).span(OSLO, NOW))
    assert faults <= {"from_day", "to_day"}
    assert span is None or span[0] > 0


ROWS = st.lists(
    st.fixed_dictionaries({"code": WORDS, "nb": st.text(max_size=150), "en": WORDS, "level": WORDS, "service": WORDS}),
    max_size=MAX_CRITERIA + 3,
)
ORDERS = st.one_of(WORDS, st.sampled_from(["add", "up:0", "down:1", "drop:0", "drop:99", "up:\u00b2", "down:"]))


@given(ROWS, ORDERS)
def test_a_list_of_criteria_is_one_or_its_faults_have_a_place(rows: list[dict[str, str]], order: str) -> None:
    form = Form({f"c{number}.{key}": value for number, row in enumerate(rows) for key, value in row.items()})
    draft = criteria_pages.draft_from(form)
    draft.do(order)
    assert len(draft.rows) <= MAX_CRITERIA + 1
    found, faults = draft.made()
    assert (found is None) == bool(faults)
    assert found is None or CriteriaList.model_validate_json(found.model_dump_json()) == found


@given(st.text(max_size=4000), st.text(max_size=400))
def test_the_lines_of_a_card_are_a_card_or_say_what_is_wrong(nb: str, en: str) -> None:
    lines = lines_of(nb), lines_of(en)
    assert all(line == " ".join(line.split()) != "" for part in lines for line in part)
    if text_faults(*lines):
        assert not any(lines) or any(
            len(part) > MAX_LINES or any(len(one) > MAX_LINE for one in part) for part in lines
        )
        return
    assert CardText(nb=lines[0], en=lines[1]).lines("nb")
