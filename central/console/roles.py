"""Who may do what: one table, everything not in it is denied."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What a person is in the service: one per user account."""

    RESPONDER = "responder"
    LEAD = "lead"
    TECHNICIAN = "technician"
    INSTALLER = "installer"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    """What a route asks for.

    `SIGNED_IN` is what every account may do for itself. The queue of somebody without `PERSONAL` holds technical
    alarms only, and only those can be opened and handled. `SEE_RESIDENTS` opens a resident's page; what is known about
    them stands on it for who has their alarm or their visit, or gives a reason. `SEE_ROTAS` reads who is on duty in
    technical teams; the rotas of all the others go with the plans they stand in, `SEE_PLANS`. `KEEP_PLACES` is about
    tenants, units, teams and who has which role where.
    """

    SIGNED_IN = "signed_in"
    SEE_QUEUE = "see_queue"
    HANDLE_ALARMS = "handle_alarms"
    PERSONAL = "personal"
    OVERRIDE_CLAIM = "override_claim"
    KEEP_TECHNICAL = "keep_technical"
    SEE_HUBS = "see_hubs"
    RUN_CHECKS = "run_checks"
    READ_LOG = "read_log"
    MAKE_CODES = "make_codes"
    CHANGE_USERS = "change_users"
    SEE_PLANS = "see_plans"
    CHANGE_PLANS = "change_plans"
    SEE_ROTAS = "see_rotas"
    SEE_ROUTINES = "see_routines"
    KEEP_ROUTINES = "keep_routines"
    SEE_RESIDENTS = "see_residents"
    KEEP_RESIDENTS = "keep_residents"
    READ_ACCESS = "read_access"
    KEEP_PLACES = "keep_places"


_R, _L, _T, _I, _A = Role

# An administrator keeps accounts and reads the log, and has no reason to see who pressed a pendant last night.
ALLOWED: Mapping[Action, frozenset[Role]] = {
    Action.SIGNED_IN: frozenset(Role),
    Action.SEE_QUEUE: frozenset({_R, _L, _T}),
    Action.HANDLE_ALARMS: frozenset({_R, _L, _T}),
    Action.PERSONAL: frozenset({_R, _L}),
    Action.OVERRIDE_CLAIM: frozenset({_L}),
    Action.KEEP_TECHNICAL: frozenset({_L, _T}),
    Action.SEE_HUBS: frozenset({_L, _T, _I, _A}),
    Action.RUN_CHECKS: frozenset({_T, _I}),
    Action.READ_LOG: frozenset({_L, _A}),
    Action.MAKE_CODES: frozenset({_I, _A}),
    Action.CHANGE_USERS: frozenset({_A}),
    Action.SEE_PLANS: frozenset({_R, _L, _A}),
    Action.CHANGE_PLANS: frozenset({_L, _A}),
    Action.SEE_ROTAS: frozenset({_R, _L, _T, _A}),
    Action.SEE_ROUTINES: frozenset({_R, _L, _T, _A}),
    Action.KEEP_ROUTINES: frozenset({_L, _A}),
    Action.SEE_RESIDENTS: frozenset({_R, _L}),
    Action.KEEP_RESIDENTS: frozenset({_L}),
    Action.READ_ACCESS: frozenset({_L, _A}),
    Action.KEEP_PLACES: frozenset({_A}),
}


def may(role: Role, action: Action) -> bool:
    """Whether somebody with this role may do this."""
    return role in ALLOWED[action]


def role_from(word: str) -> Role:
    """A role from its word. Raises ValueError, naming the words there are."""
    try:
        return Role(word)
    except ValueError:
        near = difflib.get_close_matches(word, [role.value for role in Role], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"{word!r} is no role; there are {', '.join(Role)}.{hint}") from None
