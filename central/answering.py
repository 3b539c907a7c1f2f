"""Endpoints that machines speak to over HTTP: bodies with a bound, and every refusal as a problem document (RFC 9457).

A body is refused by its announced length before it is read, and while it is read if it was not announced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from central.errors import NotStoredError
from central.reception import BusyError
from cloud_sync.errors import ForgedError, ReplayedError, WireError

log = structlog.get_logger()

BODY_TIME_S = 30.0
Endpoint = Callable[[Request], Awaitable[Response]]


class TooLargeError(Exception):
    """More than this endpoint takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What differs between those who ask: what they are to do when central could not, and what was too long."""

    again: str
    too_large_reason: str
    too_large: str


def problem(status: int, title: str, reason: str, detail: str = "", **headers: str) -> Response:
    """A refusal that machines and people can read."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail or title, "reason": reason}
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


def refusal(error: WireError) -> Response:
    """What a wire error is over HTTP."""
    if isinstance(error, ReplayedError):
        return problem(409, "Seen before", error.reason, error.detail)
    if isinstance(error, ForgedError):
        return problem(401, "Not believed", error.reason, error.detail)
    return problem(400, "Not understood", error.reason, error.detail)


async def body_of(request: Request, limit: int) -> bytes:
    """The whole body. Raises TooLargeError, and TimeoutError for a body that trickles."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise TooLargeError
    body = bytearray()
    async with asyncio.timeout(BODY_TIME_S):
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise TooLargeError
    return bytes(body)


def answering(endpoint: Endpoint, said: Said) -> Endpoint:
    """The endpoint, with every refusal as a problem document."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except WireError as error:
            return refusal(error)
        except BusyError as error:
            return problem(429, "Too many messages", "busy", str(error), **{"Retry-After": f"{error.wait_s:.0f}"})
        except NotStoredError as error:
            log.warning("request_not_committed", path=request.url.path, reason=str(error))
            return problem(503, "Cannot commit", "not_stored", f"central cannot store now; {said.again}")
        except TooLargeError:
            return problem(413, "Too large", said.too_large_reason, said.too_large, Connection="close")
        except TimeoutError:
            return problem(408, "Too slow", "timeout", "the body did not come in time", Connection="close")
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("request_failed", path=request.url.path)
            return problem(500, "A fault in central", "fault", said.again)

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
    title = HTTPStatus(error.status_code).phrase
    detail = f"{request.method} {request.url.path}"
    return problem(error.status_code, title, title.lower().replace(" ", "_"), detail[:200], **dict(error.headers or {}))


def machine_app(endpoints: Iterable[tuple[str, str, Endpoint]], said: Said) -> Starlette:
    """An application of endpoints, each with its method and path. What is not among them is a problem document too."""
    routes = [Route(path, answering(endpoint, said), methods=[method]) for method, path, endpoint in endpoints]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused})
