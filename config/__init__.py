"""Settings of a hub: models, device profiles, and a loader that answers a mistake with the nearest right word."""

from __future__ import annotations

from config.loader import Checked, check, load
from config.problems import Problem, SettingsError, render_json, render_text
from config.settings import HubSettings

__all__ = ["Checked", "HubSettings", "Problem", "SettingsError", "check", "load", "render_json", "render_text"]
