"""Residents from a file: all of it or nothing, each fault with its line, the same file twice is once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING
from central.people import import_file
from central.people.import_file import FileRefusedError
from central.people.importing import Imported, take_in
from central.views import Actor

LEAD = Actor(id="lead", name="Lead One", role="lead")
HEAD = (
    "reference;tenant;unit;first_name;last_name;address;key_code;critical;services;"
    "contact_name;contact_phone;contact_services\n"
)
ENDS_BEFORE = (
    '{"reference": "A", "tenant": "Aure", "services": [{"kind": "TA", "from": "2026-02-02", "to": "2026-02-01"}]}'
)


async def taken(town: Any, path: Path) -> Imported:
    services = town.bench.services
    return await take_in(services.store, services.clock, town.people.vault, path, LEAD, "Europe/Oslo")


def written(tmp_path: Path, text: str, name: str = "people.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


async def test_a_csv_file_makes_residents_and_the_same_file_again_changes_nothing(town: Any, tmp_path: Path) -> None:
    path = written(
        tmp_path,
        HEAD
        + "A-1;Aure;Sone nord;Ragnhild;Myklebust;Solbakken 214;4471;ja;TA DT;Sunniva;90000001;TA\n"
        + "A-2;Aure;Avdeling 2;Odd;Sæther;Fjordveien 3;;nei;TA;;;\n",
    )
    assert await taken(town, path) == Imported(residents=2, added=2, changed=0, same=0)
    town.bench.clock.advance(3600)
    assert await taken(town, path) == Imported(residents=2, added=0, changed=0, same=2)
    hits, total = await town.people.search(LEAD, EVERYTHING, "myklebust", keeps=True)
    assert total == 1
    card = await town.people.card(LEAD, EVERYTHING, hits[0].resident.pseudonym, keeps=True)
    assert (card.name, card.resident.is_critical, card.unit_name) == ("Ragnhild Myklebust", True, "Sone nord")
    assert [service.kind for service in card.services] == ["DT", "TA"] or len(card.services) == 2
    assert [(one.person.name, one.agreement.services) for one in card.contacts] == [("Sunniva", ("TA",))]


async def test_a_changed_file_changes_what_changed_and_keeps_the_history(town: Any, tmp_path: Path) -> None:
    line = "A-1;Aure;Sone nord;Ragnhild;Myklebust;{};4471;ja;TA;Sunniva;90000001;TA\n"
    await taken(town, written(tmp_path, HEAD + line.format("Solbakken 214")))
    assert (await taken(town, written(tmp_path, HEAD + line.format("Solbakken 215")))).changed == 1
    resident = await town.bench.value("SELECT pseudonym FROM resident")
    history = await town.people.history(LEAD, EVERYTHING, resident)
    addresses = [(fact.text, fact.ended_ms is None) for fact in history if fact.kind.value == "address"]
    assert sorted(addresses) == [("Solbakken 214", False), ("Solbakken 215", True)]


async def test_one_fault_anywhere_and_nothing_is_written(town: Any, tmp_path: Path) -> None:
    path = written(
        tmp_path,
        HEAD
        + "A-1;Aure;Sone nord;Ragnhild;Myklebust;Solbakken 214;;;TA;;;\n"
        + "A-2;Auer;;Odd;;;;kanskje;XX;;;\n"
        + "A-1;Aure;Sone nrd;Kari;;;;;;Per;ikke et nummer;TA\n",
    )
    with pytest.raises(FileRefusedError) as told:
        await taken(town, path)
    said = str(told.value)
    assert 'line 3: tenant: there is none of this name; did you mean "Aure"?' in said
    assert "line 3: critical: yes or no." in said
    assert "line 3: services: known are TA, DT, RT, MD, GPS, DHO." in said
    assert 'line 4: unit: there is none of this name in the municipality; did you mean "Sone nord"?' in said
    assert "line 4: contacts.phone of contact 1" in said
    assert "line 4: reference: the same as in line 2." in said
    assert "ikke et nummer" not in said
    assert await town.bench.value("SELECT count(*) FROM resident") == 0


async def test_json_brings_several_contacts_services_with_dates_and_visits(town: Any, tmp_path: Path) -> None:
    content = [
        {
            "pseudonym": "r-7", "tenant": "Smøla", "first_name": "Liv", "as_of": "2026-01-15",
            "services": ["TA", {"kind": "MD", "from": "2026-02-01"}],
            "contacts": [{"name": "Per", "phone": "90000002", "agreement": {"services": ["TA"]}}, {"name": "Kari"}],
            "visits": [{"from": "2026-11-23T08:00", "to": "2026-11-23T09:00", "reference": "v-1"}],
        }
    ]  # fmt: skip
    path = written(tmp_path, json.dumps(content), "people.json")
    assert (await taken(town, path)).added == 1
    assert (await taken(town, path)).same == 1
    content[0]["visits"][0]["state"] = "cancelled"
    assert (await taken(town, written(tmp_path, json.dumps(content), "people.json"))).changed == 1
    assert await town.bench.value("SELECT state FROM visit") == "cancelled"
    assert await town.bench.value("SELECT count(*) FROM visit") == 1


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "the file is empty"),
        ("a.csv", "reference,first_nme\nA-1,Odd\n", 'Did you mean "first_name"?'),
        ("a.csv", "reference,first_name\nA-1,Odd,more\n", "line 2: there are more fields than columns"),
        ("a.csv", 'reference,first_name\n"A-1,Odd\n', "line"),
        ("a.csv", "first_name,tenant\nOdd,Aure\n", "pseudonym or reference"),
        ("a.csv", "pseudonym,tenant\nå b,Aure\n", "line 2: pseudonym"),
        ("a.csv", "pseudonym,tenant,born\nr-1,Aure,1.1.40\n", "line 2: born: bad year"),
        ("a.csv", "pseudonym,tenant,as_of\nr-1,Aure,22.11.2026\n", "a date is written 2026-11-22"),
        ("a.csv", "pseudonym,tenant,as_of\nr-1,Aure,2199-01-01\n", "lies ahead"),
        ("a.csv", "pseudonym,tenant,hub\nr-1,Aure,nowhere\n", "there is no such hub"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "{}", "has to be a list"),
        ("a.json", "[1]", "resident 1: has to be an object"),
        ("a.json", '[{"pseudonym": "r-1", "tenant": "Aure", "services": 3}]', "services: has to be a list"),
        ("a.json", '[{"pseudonym": "r-1", "tenant": "Aure", "first_name": []}]', "first_name: has to be a text"),
        ("a.json", '[{"pseudonym": "r-1", "tenant": "Aure", "visits": [{}]}]', "visits.reference: needed"),
        ("a.json", "[" * 100_000, "JSON|lists in lists"),
        ("a.csv", "pseudonym\nr-1\n", "line 2: tenant: there are several municipalities; name one."),
        ("a.csv", "pseudonym,tenant,source\nr-1,Aure,rumour\n", "line 2: source: known are "),
        ("a.csv", "pseudonym,tenant,as_of\nr-1,Aure,1800-01-01\n", "line 2: as_of: that year is not meant."),
        ("a.csv", "pseudonym,tenant\nr-1,Aure\nr-1,Aure\n", "line 3: pseudonym: the same as in line 2."),
        (
            "a.json",
            '[{"pseudonym": "r-1", "frst_name": "Odd"}]',
            'resident 1: there is no field "frst_name". Did you mean',
        ),
        ("a.json", '[{"pseudonym": "r-1", "tenant": "Aure", "critical": 3}]', "resident 1: critical: yes or no."),
        ("a.json", '[{"pseudonym": "r-1", "tenant": "Aure", "contacts": 3}]', "contacts: has to be a list"),
        ("a.json", '[{"pseudonym": "r-1", "tenant": "Aure", "contacts": ["Per"]}]', "of contact 1:"),
        ("a.json", '[{"pseudonym": "r-1", "tenant": "Aure", "services": [["TA"]]}]', 'services: each is "TA" or'),
        (
            "a.json",
            '[{"pseudonym": "r-1", "tenant": "Aure", "services": [{"kind": "TA", "til": 1}]}]',
            "services: each is",
        ),
        (
            "a.json",
            '[{"pseudonym": "r-1", "tenant": "Aure", "services": [{"kind": "TA", "from": "1.2.2026"}]}]',
            "services.from: a date is written",
        ),
        (
            "a.json",
            '[{"pseudonym": "r-1", "tenant": "Aure", "services": [{"kind": "TA", "to": "1.2.2026"}]}]',
            "services.to: a date is written",
        ),
        ("a.json", f"[{ENDS_BEFORE}]", "resident 1: to"),
        ("a.json", '[{"pseudonym": "r-1", "tenant": "Aure", "visits": [1]}]', "visits: each has from, to, reference"),
    ],
)
async def test_a_bad_file_is_told_where_and_how(town: Any, tmp_path: Path, name: str, text: str, said: str) -> None:
    before = await written_in(town)
    with pytest.raises(FileRefusedError) as told:
        await taken(town, written(tmp_path, text, name))
    assert any(one in str(told.value) for one in said.split("|"))
    assert await written_in(town) == before


async def written_in(town: Any) -> list[int]:
    """How much there is of all that an import writes."""
    tables = ("resident", "resident_key", "resident_fact", "contact", "service", "visit", "access_entry", "log_entry")
    return [await town.bench.value(f"SELECT count(*) FROM {table}") for table in tables]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"team": "Nobody"}, "visits.team: there is no such team."),
        ({"state": "perhaps"}, "visits.state: known are "),
        ({"reference": ""}, "visits.reference: needed"),
        ({"from": ""}, "visits: from and to are needed"),
        ({"to": "2026-11-23T07:00"}, "to after from"),
        ({"to": "2026-11-24T08:01"}, "within a day"),
        ({"to": "tomorrow"}, "visits.to: a date is written"),
        ({"from": "23.11.2026"}, "visits.from: a date is written"),
    ],
)
async def test_a_visit_that_cannot_be_is_refused_with_its_field(
    town: Any, tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    visit = {"from": "2026-11-23T08:00", "to": "2026-11-23T09:00", "reference": "v-1"}
    sound = {"pseudonym": "r-1", "tenant": "Aure", "visits": [visit]}
    other = {"pseudonym": "r-2", "tenant": "Aure", "visits": [visit | changed]}
    with pytest.raises(FileRefusedError) as told:
        await taken(town, written(tmp_path, json.dumps([sound, other]), "people.json"))
    assert f"resident 2: {said}" in str(told.value) or said in str(told.value).partition("resident 2: ")[2]
    assert await town.bench.value("SELECT count(*) FROM visit") == 0


async def test_a_visit_goes_to_the_team_of_the_residents_own_municipality(town: Any, tmp_path: Path) -> None:
    places = town.people.places
    theirs = await places.add_team(LEAD, "Nattpatruljen", "patrol", tenant=town.other)
    shared = await places.add_team(LEAD, "Nattpatruljen", "patrol", serves=[town.aure])
    visit = {"from": "2026-11-23T08:00", "to": "2026-11-23T09:00", "reference": "v-1", "team": "nattpatruljen"}
    people = [{"pseudonym": "r-1", "tenant": "Aure", "visits": [visit]}]
    await taken(town, written(tmp_path, json.dumps(people), "people.json"))
    assert await town.bench.value("SELECT team FROM visit") == shared
    own = await places.add_team(LEAD, "Nattpatruljen", "patrol", tenant=town.aure)
    await taken(town, written(tmp_path, json.dumps(people), "people.json"))
    assert await town.bench.value("SELECT team FROM visit") == own
    people[0] |= {"pseudonym": "r-2", "tenant": "Smøla"}
    await taken(town, written(tmp_path, json.dumps(people), "people.json"))
    assert await town.bench.rows("SELECT count(*), count(DISTINCT team) FROM visit") == [(2, 2)]
    assert await town.bench.value(f"SELECT count(*) FROM visit WHERE team = '{theirs}'") == 1
    only_theirs = await places.add_team(LEAD, "Smølapatruljen", "patrol", tenant=town.other)
    strange = [{"pseudonym": "r-3", "tenant": "Aure", "visits": [visit | {"team": "Smølapatruljen"}]}]
    with pytest.raises(FileRefusedError, match="there is no such team"):
        await taken(town, written(tmp_path, json.dumps(strange), "people.json"))
    assert await town.bench.value(f"SELECT count(*) FROM visit WHERE team = '{only_theirs}'") == 0


async def test_a_hub_is_one_and_stands_where_the_resident_lives(town: Any, tmp_path: Path) -> None:
    places = town.people.places
    here, there, twin = [(await town.bench.enrolled(label)).id.hex() for label in ("Aure 1", "Smøla 1", "Aure 1")]
    await places.place_hub(LEAD, there, town.other, None)
    for hub, said in (
        ("Smøla 1", "line 2: hub: stands in another municipality."),
        (there, "line 2: hub: stands in another municipality."),
        ("Aure 1", "line 2: hub: name it by its id."),
    ):
        with pytest.raises(FileRefusedError) as told:
            await taken(town, written(tmp_path, f"pseudonym,tenant,hub\nr-1,Aure,{hub}\n"))
        assert said in str(told.value)
    assert await town.bench.value("SELECT count(*) FROM resident") == 0
    assert (await taken(town, written(tmp_path, f"pseudonym,tenant,hub\nr-1,Aure,{here}\n"))).added == 1
    assert await town.bench.value("SELECT hub FROM resident") == here != twin


async def test_what_shows_only_in_writing_is_told_before_anything_is_kept(town: Any, tmp_path: Path) -> None:
    """The first of the file would go; the second is somebody of another municipality."""
    await taken(town, written(tmp_path, "pseudonym,tenant\nr-2,Smøla\n"))
    before = await written_in(town)
    with pytest.raises(FileRefusedError) as told:
        await taken(town, written(tmp_path, "pseudonym,tenant,first_name\nr-1,Aure,Odd\nr-2,Aure,Liv\n"))
    assert "nothing was imported" in str(told.value)
    assert "line 3: pseudonym: belongs to another municipality." in str(told.value)
    assert "line 2" not in str(told.value)
    assert await written_in(town) == before


async def test_a_file_that_is_none_of_ours_is_told_so(
    town: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("pseudonym,tenant\nr-1,Smøla\n".encode("latin-1"))
    for path, said in ((latin, "the file is not UTF-8"), (tmp_path / "gone.csv", "the file cannot be read")):
        with pytest.raises(FileRefusedError, match=said):
            await taken(town, path)
    monkeypatch.setattr(import_file, "MAX_BYTES", 20)
    with pytest.raises(FileRefusedError, match="larger than 32 MB"):
        await taken(town, written(tmp_path, "pseudonym,tenant\nr-1,Aure\n"))
    assert await town.bench.value("SELECT count(*) FROM resident") == 0


async def test_of_very_many_faults_the_first_are_told_and_the_rest_is_counted(town: Any, tmp_path: Path) -> None:
    rows = "".join(f"r-{number},Nowhere\n" for number in range(import_file.MAX_FAULTS + 7))
    with pytest.raises(FileRefusedError) as told:
        await taken(town, written(tmp_path, f"pseudonym,tenant\n{rows}"))
    said = str(told.value).splitlines()
    assert len(said) == 1 + import_file.MAX_FAULTS + 1
    assert said[-1] == "... and 7 more."


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Sunniva;;TA", "line 2: contact_phone of contact 1: who has agreed to be told of alarms needs a telephone"),
        (";90000001;TA", "line 2: contact_name: needed, because contact_phone is filled."),
        (";;TA", "line 2: contact_name: needed, because contact_services is filled."),
    ],
)
async def test_a_contact_who_has_agreed_and_cannot_be_told_is_refused_with_row_and_column(
    town: Any, tmp_path: Path, row: str, said: str
) -> None:
    with pytest.raises(FileRefusedError) as told:
        await taken(town, written(tmp_path, HEAD + f"A-1;Aure;Sone nord;Ragnhild;Myklebust;;;;TA;{row}\n"))
    assert said in str(told.value)
    assert await town.bench.value("SELECT count(*) FROM resident") == 0


async def test_in_json_an_e_mail_address_is_enough_and_nothing_is_not(town: Any, tmp_path: Path) -> None:
    agreed = {"name": "Sunniva", "agreement": {"services": ["TA"]}}
    resident = {"reference": "A-1", "tenant": "Aure", "contacts": [agreed]}
    with pytest.raises(FileRefusedError) as told:
        await taken(town, written(tmp_path, json.dumps([resident]), "people.json"))
    assert "resident 1: phone of contact 1: who has agreed to be told of alarms needs a telephone or" in str(told.value)
    resident["contacts"] = [agreed | {"email": "sunniva@example.org"}]
    assert (await taken(town, written(tmp_path, json.dumps([resident]), "people.json"))).added == 1


async def test_an_erased_resident_is_not_made_anew_by_an_old_file(town: Any, tmp_path: Path) -> None:
    path = written(tmp_path, "pseudonym,tenant,first_name\nr-1,Aure,Odd\n")
    await taken(town, path)
    await town.people.keeping.erase(LEAD, "r-1")
    with pytest.raises(FileRefusedError, match="line 2: this resident was erased"):
        await taken(town, path)


async def test_an_alarm_does_not_wait_for_an_import(town: Any, tmp_path: Path) -> None:
    hub = await town.bench.enrolled()
    lines = [f"A-{number};Aure;Sone nord;Ragnhild;Myklebust;Solbakken 214;;nei;TA;;;\n" for number in range(100)]
    path = written(tmp_path, HEAD + "".join(lines))
    importing = asyncio.create_task(taken(town, path))
    while not await town.bench.value("SELECT count(*) FROM resident"):
        await asyncio.sleep(0.01)
    alarm = await town.bench.press(hub)
    assert not importing.done()
    assert [one.id for one in await town.bench.alarms.queue()] == [alarm.id]
    assert (await importing).added == 100


async def test_services_of_a_file_have_its_source_and_its_day_renews_them(town: Any, tmp_path: Path) -> None:
    head = "pseudonym;tenant;services;source;as_of\n"

    async def held() -> list[tuple[str, str, int]]:
        rows = await town.bench.rows("SELECT kind, source, as_of_ms FROM service")
        return [tuple(row) for row in rows]

    now = town.bench.clock.now_ms()
    assert (await taken(town, written(tmp_path, head + "r-1;Aure;TA;epj;\n"))).added == 1
    assert await held() == [("TA", "epj", now)]
    town.bench.clock.advance(40 * 24 * 3600)
    assert (await taken(town, written(tmp_path, head + "r-1;Aure;TA;epj;\n"))).same == 1  # says no day
    day = datetime.fromtimestamp(town.bench.clock.now_ms() / 1000, UTC).date() - timedelta(days=2)
    assert (await taken(town, written(tmp_path, head + f"r-1;Aure;TA;epj;{day}\n"))).changed == 1
    assert (await taken(town, written(tmp_path, head + f"r-1;Aure;TA;epj;{day}\n"))).same == 1
    midnight = datetime.fromisoformat(str(day)).replace(tzinfo=ZoneInfo("Europe/Oslo"))
    assert await held() == [("TA", "epj", int(midnight.timestamp() * 1000))]
