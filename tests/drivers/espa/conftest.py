from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import Driver
from drivers.espa import PLUGIN
from simulators.espa_panel import EspaPanel, PtyWire, settings_of

QUICK: dict[str, Any] = {"poll_interval_s": 0.05, "reply_timeout_s": 0.2, "retry_s": 0.02}
"""A panel in a hurry."""

MakeDriver = Callable[..., Driver]


@pytest.fixture
async def panel(tmp_path: Path) -> AsyncIterator[EspaPanel]:
    async with EspaPanel(PtyWire(tmp_path / "ward.tty"), **QUICK) as panel:
        yield panel


@pytest.fixture
def make_driver() -> MakeDriver:
    """Builds a driver for a panel, as the hub does from its settings."""

    def build(panel: EspaPanel, **overrides: Any) -> Driver:
        settings = PLUGIN.settings.model_validate(settings_of(panel, **overrides))
        return PLUGIN.build("ward", settings, Path())

    return build
