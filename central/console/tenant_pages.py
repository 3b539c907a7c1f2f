"""The page of a municipality's settings: name, time zone, language, and what it has decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from central.console.catalogue import LANGUAGES
from central.console.gate import Needs, Visit
from central.console.rendering import page
from central.console.roles import Action
from central.console.typed import Typed
from central.errors import Conflict, IncompleteError, NotFoundError
from central.people.placing import StaleTenantError
from central.people.tenants import Tenant, TenantSettings, Unit, UnitKind, check_tenant, units

router = APIRouter(include_in_schema=False)
Placing = Annotated[Visit, Depends(Needs(Action.KEEP_PLACES))]
Version = Annotated[int, Form(ge=0, le=2**31 - 1)]
Word = Annotated[str, Form(max_length=16)]
ZONES = ("Europe/Oslo", "Arctic/Longyearbyen")
_RULES = {"": None, "yes": True, "no": False}
_SAID = frozenset({"saved"})


@dataclass(slots=True, kw_only=True)
class Draft:
    """Everything in the form, as typed."""

    name: str
    zone: str
    language: str
    presence_claims: bool
    is_active: bool
    version: int
    faults: dict[str, str] = field(default_factory=dict)


def _draft_of(tenant: Tenant) -> Draft:
    return Draft(
        name=tenant.name, zone=tenant.zone, language=tenant.language, presence_claims=tenant.settings.presence_claims,
        is_active=tenant.is_active, version=tenant.version,
    )  # fmt: skip


async def _look(visit: Visit, tenant_id: str) -> tuple[Tenant, list[Unit]]:
    scope = visit.scope_for(Action.KEEP_PLACES)

    async def work(connection: AsyncConnection) -> tuple[Tenant, list[Unit]]:
        tenant = await check_tenant(connection, scope, tenant_id)
        return tenant, [one for one in await units(connection, scope) if one.tenant == tenant_id and one.is_active]

    return await visit.desk.services.store.fetch(work)


@router.get("/places/tenants/{tenant_id}")
async def settings(visit: Placing, tenant_id: str, said: str = "") -> Response:
    """What it is now."""
    tenant, _ = await _look(visit, tenant_id)
    return await _page(visit, tenant_id, _draft_of(tenant), said=said)


@router.post("/places/tenants/{tenant_id}")
async def set_tenant(request: Request, visit: Placing, tenant_id: str) -> Response:
    """Other words, other rules."""
    tenant, _ = await _look(visit, tenant_id)
    form = Typed(await request.form())
    draft = Draft(
        name=form.text("name", 200), zone=form.text("zone", 64), language=form.text("language", 8) or tenant.language,
        presence_claims=bool(form.text("presence_claims", 8)),
        is_active=form.text("state", 8) != "ended", version=form.version(),
    )  # fmt: skip
    try:
        await visit.desk.services.people.places.set_tenant(
            visit.actor, tenant_id, draft.version, name=draft.name, zone=draft.zone, language=draft.language,
            settings=TenantSettings(presence_claims=draft.presence_claims),
            is_active=draft.is_active, scope=visit.scope_for(Action.KEEP_PLACES),
        )  # fmt: skip
    except IncompleteError as error:
        draft.faults[error.field] = error.reason
        return await _page(visit, tenant_id, draft, status=422)
    except StaleTenantError as error:
        draft.version = error.theirs.version
        return await _page(visit, tenant_id, draft, theirs=error.theirs, status=409)
    except Conflict as error:
        draft.faults["state" if error.reason == "tenant_in_use" else "name"] = error.reason
        return await _page(visit, tenant_id, draft, status=409)
    return RedirectResponse(f"/places/tenants/{tenant_id}?said=saved", 303)


@router.post("/places/units/{unit_id}/presence")
async def set_presence(visit: Placing, unit_id: str, version: Version = 0, rule: Word = "") -> Response:
    """Whether staff presence claims calls in this unit; empty: as the municipality has it."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    known = {one.id: one for one in await visit.desk.services.store.fetch(units)}
    if rule not in _RULES:
        raise IncompleteError("unknown_rule", "rule", tuple(_RULES))
    if unit_id not in known:
        raise NotFoundError("unit", unit_id[:32])
    unit = known[unit_id]
    kept = {key: value for key, value in unit.settings.items() if key != "presence_claims"}
    if _RULES[rule] is not None:
        kept["presence_claims"] = _RULES[rule]
    try:
        await visit.desk.services.people.places.set_unit(
            visit.actor, unit_id, version, name=unit.name, kind=unit.kind, parent=unit.parent, settings=kept,
            is_active=unit.is_active, scope=scope,
        )  # fmt: skip
    except Conflict:
        tenant, _ = await _look(visit, unit.tenant)
        draft = _draft_of(tenant)
        draft.faults["units"] = "stale"
        return await _page(visit, unit.tenant, draft, status=409)
    return RedirectResponse(f"/places/tenants/{unit.tenant}?said=saved", 303)


async def _page(
    visit: Visit, tenant_id: str, draft: Draft, *, theirs: Tenant | None = None, said: str = "", status: int = 200
) -> Response:
    tenant, within = await _look(visit, tenant_id)
    t = visit.words
    said_of = {unit.id: {None: "", True: "yes", False: "no"}[_own_rule(unit)] for unit in within}
    wards = [unit for unit in within if unit.kind is UnitKind.WARD or said_of[unit.id]]
    return page(
        visit, "tenant.html", status, tenant=tenant, draft=draft, theirs=theirs, languages=LANGUAGES,
        told={where: t(f"tenantfault.{reason}") if t.has(f"tenantfault.{reason}") else t("recordfault.other")
              for where, reason in draft.faults.items()},
        zones=sorted({*ZONES, draft.zone} & available_timezones()), wards=wards, rules=said_of,
        may_end=visit.scope_for(Action.KEEP_PLACES).is_everything,
        said=t("tenant.said_saved") if said in _SAID else "",
    )  # fmt: skip


def _own_rule(unit: Unit) -> bool | None:
    found = unit.settings.get("presence_claims")
    return found if isinstance(found, bool) else None
