"""Telling somebody by SMS, through whichever provider carries the texts."""

from __future__ import annotations

from central.notify.channel import Address, Awaited, ChannelError, Line, Message, Promise
from central.settings import CentralSettings
from central.sms import SmsError, SmsProvider
from central.sms_http import HttpProvider


class SmsChannel:
    """See `central.notify.channel.Channel`."""

    promise = Promise(name="sms", address=Address.PHONE, takes_answers=True)

    def line(self, settings: CentralSettings) -> Line | None:
        """See `central.notify.channel.Channel`. Through the provider of `[sms]`."""
        sms = settings.sms
        if sms is None:
            return None
        awaited = Awaited(within_s=sms.receipt_within_s, is_promised=sms.receipts == "always")
        return Line(
            carrier=SmsCarrier(HttpProvider(sms)),
            slowest_s=sms.timeout_s,
            receipts=None if sms.receipts == "never" else awaited,
        )


class SmsCarrier:
    """See `central.notify.channel.Carrier`."""

    def __init__(self, provider: SmsProvider) -> None:
        self._provider = provider

    async def send(self, address: str, message: Message, *, reference: str) -> str:
        """See `central.notify.channel.Carrier`. The text alone: an SMS has no subject."""
        try:
            return await self._provider.send(address, message.text, reference=f"note-{reference}")
        except SmsError as error:
            raise ChannelError(str(error)[:64], is_final=error.is_final) from None


CHANNEL = SmsChannel()
