"""The two web applications of central: one for hubs, one for people.

The console's part is `central.console.install(app, services)`, which adds its routers, static files and middleware.
"""

from __future__ import annotations

from fastapi import FastAPI

from central.services import Services


def create_console_app(services: Services) -> FastAPI:
    """Pages, JSON API and event stream for people. `app.state.services` is what routers work with."""
    app = FastAPI(title="Vaktpost", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.state.services = services
    from central.console import install

    install(app, services)
    return app
