"""ESPA 4.4.4: the serial line on which nurse-call panels report their calls."""

from __future__ import annotations

from pathlib import Path

from drivers.contract import DriverPlugin
from drivers.espa.driver import EspaDriver
from drivers.espa.settings import EspaSettings


def _build(name: str, settings: EspaSettings, _base: Path) -> EspaDriver:
    return EspaDriver(name, settings)


def _aliases(settings: EspaSettings) -> tuple[str, ...]:
    """The panel alone: rooms are named by the mapping table as calls come in."""
    return (settings.alias,)


PLUGIN = DriverPlugin(
    type_name="espa",
    settings=EspaSettings,
    build=_build,
    aliases=_aliases,
    finds_devices=True,
    hears_regularly=False,
)
