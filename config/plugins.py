"""Finding drivers: the entry points of the group `vaktpost.drivers`, imported only when a file names them."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from drivers.contract import DriverPlugin

GROUP = "vaktpost.drivers"


class PluginError(Exception):
    """A driver type is installed and cannot be used. The text says what to do."""


def known_types() -> dict[str, EntryPoint]:
    """Every installed driver type by name. Imports none of them."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load_plugin(type_name: str) -> DriverPlugin | None:
    """The plugin of a driver type, None when there is no such type. Raises PluginError."""
    point = known_types().get(type_name)
    if point is None:
        return None
    try:
        plugin = point.load()
    except ModuleNotFoundError as missing:
        raise PluginError(
            f"needs the Python package {missing.name!r}, which is not installed: pip install 'vaktpost[hub]'"
        ) from missing
    except (ImportError, AttributeError) as error:
        raise PluginError(f"cannot be loaded: {error}") from error
    if not isinstance(plugin, DriverPlugin):
        raise PluginError(f"{point.value} is not a driver plugin")
    return plugin
