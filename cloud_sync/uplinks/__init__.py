"""The paths there are, each made from its settings. A path's library is imported only when the path is used."""

from __future__ import annotations

from pathlib import Path

from cloud_sync.settings import HttpsSettings, MqttSettings, SmsSettings
from cloud_sync.trust import TrustBundle
from cloud_sync.uplink import Uplink


def build(
    name: str,
    settings: HttpsSettings | MqttSettings | SmsSettings,
    *,
    trust: TrustBundle,
    hub: bytes,
    hub_epoch: bytes,
    base: Path = Path(),
) -> Uplink:
    """The uplink that these settings describe. Paths in the settings start from `base`.

    Raises UplinkError when a file that the settings name cannot be read.
    """
    if isinstance(settings, HttpsSettings):
        from cloud_sync.uplinks.https import HttpsUplink

        return HttpsUplink(name, settings, trust)
    if isinstance(settings, SmsSettings):
        from cloud_sync.uplinks.sms import SmsUplink

        return SmsUplink(name, settings)
    from cloud_sync.uplinks.mqtt import MqttUplink

    return MqttUplink(name, settings, trust, hub, hub_epoch, base)
