"""The open ways down to hubs: held HTTPS answers and MQTT topics."""

from __future__ import annotations


class HubLinks:
    """Who can be reached now."""

    def has_link(self, hub: str) -> bool:
        """Whether any run of this hub has an open way down."""
        raise NotImplementedError
