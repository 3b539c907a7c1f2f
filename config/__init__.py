"""Settings of a hub: models, device profiles, and a loader that answers a mistake with the nearest right word.

What reads a file is imported when it is asked for: a program that is given settings has no use for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config.loader import Checked, check, load
    from config.problems import Problem, SettingsError, render_json, render_text
    from config.settings import HubSettings

__all__ = ["Checked", "HubSettings", "Problem", "SettingsError", "check", "load", "render_json", "render_text"]

_PLACES = {
    "Checked": "config.loader",
    "HubSettings": "config.settings",
    "Problem": "config.problems",
    "SettingsError": "config.problems",
    "check": "config.loader",
    "load": "config.loader",
    "render_json": "config.problems",
    "render_text": "config.problems",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
