"""Headers, errors, hub pages, event log, enrolment codes, user accounts, the description of the API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from central.console import assembly, hub_page
from central.console.catalogue import words
from central.console.figures import Figures
from central.console.roles import Role
from central.views import Actor
from cloud_sync.health import Bound, HealthLine, HealthResult, Outcome
from simulators.live_hub import LiveHub

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def check(*, battery: int = 71, uplink_ms: float | None = 38.0) -> HealthResult:
    """A check with one line of each kind."""
    return HealthResult(
        started_ms=1,
        took_ms=3800,
        lines=(
            HealthLine(
                id="journal.write", result=Outcome.OK, text_key="journal_write", value=11.2, unit="ms", limit=50
            ),
            HealthLine(
                id="device.pendant-1.battery",
                result=Outcome.OK if battery >= 20 else Outcome.WARN,
                text_key="device_battery",
                value=battery,
                unit="%",
                limit=20,
                bound=Bound.LEAST,
                next_key="change_battery",
                params={"device": "pendant-1"},
            ),
            HealthLine(
                id="uplink.reserve",
                result=Outcome.UNKNOWN if uplink_ms is None else Outcome.OK,
                text_key="uplink",
                value=uplink_ms,
                unit="ms",
                limit=2000,
                next_key="check_network",
                params={"uplink": "reserve"},
            ),
            HealthLine(id="from.the.future", result=Outcome.OK, text_key="from_the_future", value="ja"),
        ),
    )


@pytest.fixture
async def home(console: Any) -> AsyncIterator[LiveHub]:
    async with LiveHub(console.bench.central, "Solbakken 214", health=check()) as hub:
        yield hub


async def test_every_answer_carries_the_policy_also_errors_and_files(console: Any, first: Any) -> None:
    answers = [await first.get(path) for path in ("/", "/nowhere", "/static/base.css", "/api/v1/nowhere")]
    answers.append(await console.browser().get("/sign-in"))
    answers.append(await first.request("POST", "/sign-out", headers={"sec-fetch-site": "cross-site"}))
    for answer in answers:
        assert answer.header("content-security-policy") == POLICY
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("x-frame-options") == "DENY"
    assert answers[0].header("cache-control") == "no-store"
    assert answers[2].header("cache-control") == "no-cache"


async def test_a_page_beside_may_frame_the_console_only_where_the_settings_say_so(bench: Any) -> None:
    settings = bench.services.settings
    changed = settings.model_copy(
        update={"console": settings.console.model_copy(update={"frame_ancestors": ("http://127.0.0.1:9000",)})}
    )
    services = type(bench.services)(**{
        name: getattr(bench.services, name) for name in type(bench.services).__slots__ if name != "settings"
    }, settings=changed)  # fmt: skip
    guard = assembly.Guard(lambda *_: asyncio.sleep(0), services)
    assert guard._headers["content-security-policy"].endswith("frame-ancestors http://127.0.0.1:9000")
    assert "x-frame-options" not in guard._headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "", "origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "", "origin": "null"}, 403),
        ({"sec-fetch-site": "", "origin": "http://127.0.0.1:0"}, 303),
        ({"sec-fetch-site": ""}, 303),  # a program, not a browser
    ],
)
async def test_what_another_site_writes_is_refused_even_with_the_token(
    first: Any, headers: dict[str, str], status: int
) -> None:
    assert (await first.post("/me", form={"language": "nb", "theme": "auto"}, headers=headers)).status == status


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(first: Any) -> None:
    answer = await first.post("/api/v1/duty", body=b"x" * (assembly.MAX_BODY + 1))
    assert (answer.status, answer.json["reason"]) == (413, "too_long")
    assert (await first.post("/me", headers={"content-length": "many"})).status == 413


@pytest.mark.parametrize("path", ["/alarms/%00", "/hubs/a%00b", "/log?alarm=%00", "/hubs/\x00"])
async def test_a_nul_in_an_address_reaches_no_database(other: Any, path: str) -> None:
    assert (await other.get(path)).status == 404


async def test_a_fault_of_ours_is_a_page_without_its_insides(console: Any, first: Any, monkeypatch: Any) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise ValueError("the secret insides")

    monkeypatch.setattr(type(console.services.alarms), "queue", fails)
    page = await first.get("/")
    assert (page.status, "Dette er vår feil" in page.body.decode()) == (500, True)
    problem = await first.get("/api/v1/alarms")
    assert (problem.status, problem.json["reason"]) == (500, "internal")
    for answer in (page, problem):
        assert answer.header("content-security-policy") == POLICY
        assert b"insides" not in answer.body


async def test_errors_speak_the_readers_language(console: Any) -> None:
    assert "Her er det ingenting" in (await console.browser(language="nb").get("/static/nowhere.css")).text
    assert "There is nothing here" in (await console.browser(language="en").get("/nowhere")).text
    refused = await console.browser().get("/api/v1/nowhere")
    assert (refused.header("content-type"), refused.json["status"]) == ("application/problem+json", 404)


async def test_a_technician_runs_a_check_and_sees_every_line_with_its_next_step(tore: Any, home: LiveHub) -> None:
    assert "Aldri sjekket" in (await tore.get(f"/hubs/{home.id}")).text
    home.health = check(battery=18, uplink_ms=None)
    answer = await tore.post(f"/hubs/{home.id}/check")
    assert answer.header("location") == f"/hubs/{home.id}"
    page = (await tore.get(f"/hubs/{home.id}")).text
    for text in ("pendant-1: batteri", "18 %", "minst 20 %", "Bytt batteri ved neste besøk", "ikke svar", "11,2 ms"):
        assert text in page
    assert "from.the.future" in page  # a line of a newer hub goes by its id
    assert page.index("Bytt batteri") < page.index("11,2 ms")  # deviations first
    home.health = check(battery=22)
    part = await tore.post(f"/hubs/{home.id}/check", headers={"hx-request": "true"})
    assert "<html" not in part.text
    assert "Forrige gang: 0 feil, 1 avvik, 1 ukjent, 2 i orden" in part.text
    assert '<polyline class="l"' in part.text


async def test_a_hub_that_does_not_answer_is_never_green(tore: Any, home: LiveHub) -> None:
    await tore.post(f"/hubs/{home.id}/check")
    assert "st p-ok" in (await tore.get(f"/hubs/{home.id}")).text
    await home.hang_up()
    answer = await tore.post(f"/api/v1/hubs/{home.id}/checks")
    assert answer.json["state"] == "no_link"
    page = (await tore.get(f"/hubs/{home.id}")).text
    table = page[page.index('id="check-table"') : page.index("<aside")]
    assert "sist kjent" in table
    assert "r-ok" not in table
    assert re.findall(r'class="st (p-\w+)', table).count("p-ok") == 1  # the tally: 0 in order
    assert '>0</span><span class="muted">i orden' in re.sub(r"<svg.*?</svg>", "", table)
    assert "Ikke svar" in (await tore.get("/hubs")).text


async def test_checks_over_the_api_carry_the_result(tore: Any, home: LiveHub) -> None:
    assert (await tore.post(f"/api/v1/hubs/{home.id}/checks")).json["state"] == "answered"
    (kept,) = (await tore.get("/api/v1/hubs/Solbakken%20214/checks".replace("%20", " "))).json
    assert kept["result"]["lines"][0]["id"] == "journal.write"
    (hub,) = (await tore.get("/api/v1/hubs")).json["hubs"]
    assert (hub["label"], hub["has_link"]) == ("Solbakken 214", True)
    missing = await tore.get("/api/v1/hubs/Solbaken 214")
    assert missing.status == 404


def test_a_curve_keeps_inside_its_box_and_shows_a_gap() -> None:
    spark = hub_page._spark([(1, 5.0), (2, 900.0), (3, -3.0)], 10, is_cut=True)
    assert spark is not None
    xs, ys = zip(*(map(float, point.split(",")) for point in spark.points.split()), strict=True)
    assert all(0 <= x <= 104 for x in xs)
    assert all(0 <= y <= 28 for y in (*ys, float(spark.limit_y or -1)))
    assert spark.gap.startswith(f"M{spark.end_x} ")
    assert hub_page._spark([(1, 5.0)], None, is_cut=False) is None
    flat = hub_page._spark([(1, 5.0), (2, 5.0)], None, is_cut=False)
    assert flat is not None
    assert flat.gap == ""


async def test_the_event_log_is_read_and_verified_and_turns_red_where_it_was_changed(
    console: Any, other: Any, home: LiveHub
) -> None:
    await home.raise_event("pendant_pressed")
    alarm = (await console.services.alarms.queue())[0]
    await other.post(f"/api/v1/alarms/{alarm.id}/claim")
    page = (await other.get("/log")).text
    for text in ("Operator Two tok alarmen", "Trygghetsalarm", "En hub ble meldt inn", "Operator Two logget på"):
        assert text in page
    only = (await other.get(f"/log?alarm={alarm.id}")).text
    assert "Operator Two tok alarmen" in only
    assert "meldt inn" not in only
    whole = await other.post("/log/verify", headers={"hx-request": "true"})
    assert "Loggen er hel." in whole.text
    await console.bench.change("UPDATE log_entry SET actor_name = 'Noen Andre' WHERE what = 'claimed'")
    number = await console.bench.value("SELECT no FROM log_entry WHERE what = 'claimed'")
    broken = await other.post("/log/verify")
    assert 'role="alert"' in broken.text
    assert f"nummer {number}: innholdet er endret" in broken.text


async def test_the_log_pages_back(console: Any, other: Any) -> None:
    for number in range(120):
        await console.accounts.add(f"Person {number}", Role.RESPONDER)
    first = Actor(id="k", name="K", role="lead")
    from central import event_log  # only here

    async with console.bench.store.write() as connection:
        for number in range(150):
            await event_log.append(connection, number, "signed_in", first)
    first = (await other.get("/log")).text
    older = re.search(r"/log\?before=(\d+)", first)
    assert older
    assert (await other.get(f"/log?before={older[1]}")).text.count("<tr>") > 40


async def test_a_code_is_shown_once_and_kept_as_a_fingerprint(console: Any) -> None:
    ivar = await console.signed_in("Ivar Moe", Role.INSTALLER)
    answer = await ivar.post("/codes", form={"label": "Solbakken  301 "})
    code = re.search(r'id="once">([A-Z2-7-]{49})<', answer.text)
    assert code
    assert "Kode for Solbakken 301" in answer.text
    again = (await ivar.get("/codes")).text
    assert code[1] not in again
    assert "Solbakken 301" in again
    assert code[1] not in str(await console.bench.rows("SELECT * FROM enrolment_code"))


async def test_an_administrator_adds_somebody_who_gets_in_by_link(console: Any, ada: Any) -> None:
    answer = await ada.post("/users", form={"name": "Ny Person", "role": "responder"})
    link = re.search(r"http://[^/]+(/link/[\w-]+)", answer.text)
    assert link
    newcomer = console.browser()
    token = link[1].removeprefix("/link/")
    assert (await newcomer.request("POST", "/link", form={"token": token})).status == 303
    assert link[1] not in (await ada.get("/users")).text
    taken = await ada.post("/users", form={"name": "ny person", "role": "lead"})
    assert (taken.status, "Det finnes alt" in taken.text) == (409, True)
    assert (await ada.post("/users", form={"name": "<b>", "role": "lead"})).status == 422
    assert (await ada.post("/users", form={"name": "Nok En", "role": "king"})).status == 422
    whats = [row[0] for row in await console.bench.rows("SELECT what FROM log_entry ORDER BY no")]
    assert whats.count("account_added") == 1
    assert "account_link" in whats


async def test_another_role_takes_effect_at_once_and_nobody_changes_their_own(
    console: Any, ada: Any, first: Any
) -> None:
    account_id = await console.accounts.id_of("Operator One")
    await ada.post(f"/users/{account_id}/role", form={"role": "installer", "version": "1"})
    assert (await first.get("/")).status == 303
    assert (await first.sign_in("Operator One")).status == 303
    assert (await first.get("/users")).status == 403
    own = await console.accounts.id_of("Ada Nes")
    for act in ("role", "disable", "link"):
        assert (await ada.post(f"/users/{own}/{act}", form={"role": "installer"})).status == 404
    assert (await ada.get("/users")).status == 200


async def test_the_api_describes_itself_with_examples(console: Any) -> None:
    described = (await console.browser().get("/api/openapi.json")).json
    paths = described["paths"]
    assert {"/api/v1/alarms/{alarm_id}/claim", "/api/v1/feed", "/api/v1/hubs/{hub_id}/checks"} <= set(paths)
    assert all(path.startswith("/api/v1/") for path in paths)
    assert described["components"]["schemas"]["AlarmOut"]["examples"][0]["kind"] == "pendant_pressed"
    assert "409" in paths["/api/v1/alarms/{alarm_id}/claim"]["post"]["responses"]


def test_ages_and_numbers_are_written_as_the_language_does() -> None:
    from zoneinfo import ZoneInfo  # only here

    nb, en = (Figures(words(language), ZoneInfo("Europe/Oslo")) for language in ("nb", "en"))
    assert [nb.age(0, ms) for ms in (0, 9_999, 105_000, 3 * 3_600_000, 80 * 3_600_000)] == [
        "0:00",
        "0:09",
        "1:45",
        "3 t",
        "3 d",
    ]
    assert (nb.span(48), nb.span(4100), en.span(4100), nb.span(125_000)) == ("48 ms", "4,1 s", "4.1 s", "2 min 5 s")
    assert (nb.number(-88.5), en.number(1234.0)) == ("\N{MINUS SIGN}88,5", "1\N{NARROW NO-BREAK SPACE}234")
    summer, winter = 1_782_000_000_000, 1_795_226_400_000
    assert (nb.clock(summer), nb.clock(winter)) == ("02:00:00", "03:00:00")
    assert nb.ago(None, 0) == "aldri"
    assert en.ago(0, 125_000) == "2 min ago"
