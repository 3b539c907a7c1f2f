"""Who somebody is, in the reader's words where it is nobody with an account: staff at a room, next of kin."""

from __future__ import annotations

from dataclasses import replace

from central.at_room import ROOM
from central.console.gate import Visit
from central.views import KIN, KIN_NAME, AlarmDetail, AlarmView


def name_of(visit: Visit, account: str | None, name: str | None) -> str:
    """A name as it is read."""
    if account == ROOM.id or name == ROOM.name:
        return visit.words("holder.room")
    if name == KIN_NAME and (account is None or account.startswith(KIN)):
        return visit.words("holder.kin")
    return name or ""


def named(visit: Visit, alarm: AlarmView) -> AlarmView:
    """The alarm with the name of who has it, and of who has closed it, as they are read."""
    return replace(
        alarm,
        owner_name=None if alarm.owner_name is None else name_of(visit, alarm.owner, alarm.owner_name),
        closed_by=None if alarm.closed_by is None else name_of(visit, None, alarm.closed_by),
    )


def named_detail(visit: Visit, detail: AlarmDetail) -> AlarmDetail:
    """The same for an alarm with all who were sent to it."""
    sent = tuple(
        one if one.account_name is None else replace(one, account_name=name_of(visit, one.account, one.account_name))
        for one in detail.sent
    )
    return replace(detail, alarm=named(visit, detail.alarm), sent=sent)
