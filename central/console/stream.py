"""The live stream of a console (server-sent events): changes with their feed number, a beat every five seconds.

A browser that was away comes back with the last number it saw; what it missed follows, or `reset` tells it to load
everything again. The stream ends with `ended` when the session does, so that a console never looks live and is deaf.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse

from central.console.gate import Needs, Visit, access_now
from central.console.roles import Action
from central.console.sight import ELSEWHERE, sight_for, sight_of
from central.errors import ActionError
from central.feed import Beat, Change, Reset

router = APIRouter(prefix="/api/v1")
RETRY_MS = 2000
_ELSEWHERE = {"topic": ELSEWHERE, "ref": "", "what": ""}


class TooManyStreamsError(ActionError):
    """One account has more windows open than a person has eyes."""

    status = 429


@router.get("/feed", tags=["feed"], response_class=StreamingResponse)
async def feed(
    visit: Annotated[Visit, Depends(Needs(Action.SEE_QUEUE))],
    console: Annotated[str, Query(pattern="^[0-9a-f]{8,32}$")],
    after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    has_sound: Annotated[bool, Query(alias="sound")] = False,
    last_event_id: Annotated[str, Header()] = "",
) -> StreamingResponse:
    """Follow the feed. Events: `change`, `beat`, `reset`, `ended`; the id is the feed number."""
    if visit.desk.onlookers.is_full_for(visit.who.account.id):
        raise TooManyStreamsError("too_many_streams")
    is_number = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 15
    start = int(last_event_id) if is_number else after
    if start is None:
        start = await visit.desk.services.feed.now()
    return StreamingResponse(
        _events(visit, console, start, has_sound=has_sound),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(visit: Visit, console: str, start: int, *, has_sound: bool) -> AsyncIterator[str]:
    desk = visit.desk
    yield f"retry: {RETRY_MS}\n\n"
    account, sight = visit.who.account.id, sight_for(visit)
    has_sound = has_sound or await desk.services.duty.is_on(account, console)
    with desk.onlookers.looking(console, account, has_sound=has_sound) as onlooker:
        async with aclosing(desk.services.feed.follow(start)) as items:
            async for item in items:
                match item:
                    case Change(no=no):
                        told = {"topic": item.topic, "ref": item.ref, "what": item.what}
                        yield _event("change", no, told if sight.sees(item) else _ELSEWHERE)
                    case Beat(no=no):
                        if await desk.sessions.look(visit.who.token_hash) is None:
                            yield _event("ended", no, {})
                            return
                        seen = sight_of(await access_now(desk, visit.who))
                        if seen != sight:
                            sight = seen
                            yield _event("reset", no, {})
                        if onlooker.has_sound:
                            desk.services.duty.seen(account, console)
                        count, digest = await sight.digest(item)
                        yield _event("beat", no, {"at_ms": item.at_ms, "count": count, "hash": digest})
                    case Reset(no=no):
                        yield _event("reset", no, {})


def _event(name: str, number: int, content: dict[str, Any]) -> str:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps({'no': number, **content})}\n\n"
