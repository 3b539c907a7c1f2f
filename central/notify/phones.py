"""Telling somebody by SMS, through whichever provider carries the texts."""

from __future__ import annotations

from central.notify.channel import ChannelError, Message
from central.sms import SmsError, SmsProvider


class SmsChannel:
    """See `central.notify.channel.Channel`."""

    def __init__(self, provider: SmsProvider) -> None:
        self._provider = provider

    async def send(self, address: str, message: Message, *, reference: str) -> str:
        """See `central.notify.channel.Channel`. The text alone: an SMS has no subject."""
        try:
            return await self._provider.send(address, message.text, reference=f"note-{reference}")
        except SmsError as error:
            raise ChannelError(str(error)[:64], is_final=error.is_final) from None
