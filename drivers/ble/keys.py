"""The devices' keys, from their files: read when the driver opens, and where that failed again and again.

A key that cannot be read silences its own device and no other one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from drivers.ble.settings import BleDevice, is_readable_by_others, read_key
from drivers.errors import PermanentDriverError


class Keys:
    """`found` and `missing` (with the reason, for people) by alias. A device without a key file is in neither."""

    def __init__(self, devices: Iterable[BleDevice], base: Path, log: Any) -> None:
        self._files = {each.alias: base / each.key_file for each in devices if each.key_file is not None}
        self._log = log
        self.found: dict[str, bytes] = {}
        self.missing: dict[str, str] = {}

    def read(self) -> list[str]:
        """Read what was not read yet. Blocks. Returns the aliases whose keys were found now."""
        news = []
        for alias, path in self._files.items():
            if alias in self.found:
                continue
            try:
                self.found[alias] = read_key(path, alias)
                is_open = is_readable_by_others(path)
            except PermanentDriverError as error:
                if alias not in self.missing:
                    self._log.error("key_file_unusable", device=alias, error=str(error))
                self.missing[alias] = str(error)
                continue
            except OSError:  # it went in this moment, and was read before
                is_open = False
            self.missing.pop(alias, None)
            news.append(alias)
            if is_open:
                self._log.warning("key_file_readable_by_others", device=alias, path=str(path))
        return news
