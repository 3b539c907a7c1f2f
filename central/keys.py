"""The keys of central: signing, sealing, TLS. Private ones lie in files of mode 0600."""

from __future__ import annotations


class CentralKeys:
    """What central signs and opens with."""
