"""The JSON API of response plans and duty rotas."""

from __future__ import annotations

from typing import Any

import pytest

from central.console.roles import Role

HOUR = 3_600_000
NIGHT = {
    "name": "Natt",
    "variants": [
        {
            "name": "Natt",
            "hours": [{"begin": 1320, "to": 420}],
            "steps": [{"receiver": "centres", "channels": ["console"], "patience_s": 90}],
        },
        {"name": "Ellers", "steps": [{"receiver": "centres"}]},
    ],
}


@pytest.fixture
async def nina(console: Any) -> Any:
    return await console.signed_in("Nina Berg", Role.LEAD)


async def test_a_plan_is_written_changed_tried_and_ended(nina: Any, bench: Any) -> None:
    tenant = await bench.value("SELECT id FROM tenant")
    body = {"tenant": tenant, "service": "TA", "plan": NIGHT, "why": "ny"}
    made = await nina.post("/api/v1/plans", content=body)
    assert made.status == 201
    assert made.json["words"][0].startswith("Hver dag mellom 22:00 og 07:00: alle responssentre")
    path = f"/api/v1/plans/{made.json['id']}"
    changed = await nina.request(
        "PUT", path, content=body | {"version": 1, "why": "endret"}, headers={"x-csrf-token": nina.csrf}
    )
    assert (changed.status, changed.json["version"]) == (200, 2)
    stale = await nina.request("PUT", path, content=body | {"version": 1}, headers={"x-csrf-token": nina.csrf})
    assert stale.status == 409
    assert (stale.json["reason"], stale.json["current"]["version"]) == ("stale_plan", 2)
    assert stale.json["yours"] == {"version": 1}
    assert [one["why"] for one in (await nina.get(path)).json] == ["endret", "ny"]
    tried = (await nina.get(f"{path}/trial?at_ms=1795313400000")).json
    assert tried["variant"] == "Natt"
    assert tried["again_ms"] - tried["at_ms"] == 90_000
    assert len(tried["steps"][0]["teams"]) == 1
    gone = await nina.request("DELETE", f"{path}?version=2", headers={"x-csrf-token": nina.csrf})
    assert gone.status == 204
    assert (await nina.get("/api/v1/plans")).json["plans"] == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"service": "XX"}, "no_service"),
        (
            {"plan": NIGHT | {"variants": [{"name": "x", "steps": [{"receiver": "team", "team": "f" * 16}]}]}},
            "no_team",
        ),
        ({"plan": NIGHT | {"variants": []}}, "too_short"),
        ({"plan": NIGHT | {"variants": NIGHT["variants"][:1]}}, "value_error"),
        ({"tenant": "x"}, "string_pattern_mismatch"),
        ({"version": 0}, "greater_than_equal"),
        ({"more": 1}, "extra_forbidden"),
    ],
)
async def test_a_plan_that_cannot_be_used_is_refused_with_its_place(
    nina: Any, bench: Any, change: dict[str, Any], reason: str
) -> None:
    body = {"tenant": await bench.value("SELECT id FROM tenant"), "service": "TA", "plan": NIGHT}
    answer = await nina.post("/api/v1/plans", content=body | change)
    assert answer.status == 422
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json["reason"] == reason
    assert answer.json["field"]
    assert (await nina.get("/api/v1/plans")).json["plans"] == []


async def test_a_rota_is_kept_over_the_api(nina: Any, bench: Any, console: Any) -> None:
    team = await bench.value("SELECT id FROM team")
    anna = (await console.account("Anna Lie")).id
    path, now = f"/api/v1/teams/{team}/rota", bench.clock.now_ms()
    assert not (await nina.get(path)).json["is_kept"]
    shift = {"account": anna, "weekdays": [0, 1, 2, 3, 4, 5, 6], "from_minute": 0, "to_minute": 0}
    made = await nina.post(f"{path}/shifts", content=shift | {"from_day": "2026-01-01"})
    assert made.status == 201
    found = (await nina.get(path)).json
    assert [one["name"] for one in found["on_now"]] == ["Anna Lie"]
    assert found["gaps"] == []
    away = {"instead_of": anna, "from_ms": now + 24 * HOUR, "to_ms": now + 25 * HOUR}
    override = await nina.post(f"{path}/overrides", content=away)
    assert (await nina.get(path)).json["gaps"] == [{"from_ms": now + 24 * HOUR, "to_ms": now + 25 * HOUR}]
    for gone in (f"overrides/{override.json['id']}", f"shifts/{made.json['id']}"):
        assert (await nina.request("DELETE", f"{path}/{gone}", headers={"x-csrf-token": nina.csrf})).status == 204
    assert (await nina.post(f"{path}/overrides", content=away | {"to_ms": now})).json["field"] == "to"
    assert (await nina.post(f"{path}/shifts", content=shift | {"from_day": "9999-12-31"})).status == 201
    assert (await nina.get(path)).status == 200
