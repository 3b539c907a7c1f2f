"""What people see of central: sign-in, the alarm queue, the alarm, hubs and their health, the event log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from central.services import Services


def install(app: FastAPI, services: Services) -> None:
    """Add pages, API, event stream and files to an application."""
    from central.console.assembly import install as assemble

    assemble(app, services)
