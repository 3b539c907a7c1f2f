"""What a modem is told before it is used, and what its SIM card wants."""

from __future__ import annotations

import asyncio

import structlog

from cloud_sync.modem.codec import Command, number_at, parameters
from cloud_sync.modem.errors import ModemError, Reason, refusal
from cloud_sync.modem.pin import Pin
from cloud_sync.modem.state import Sim
from cloud_sync.modem.talk import Talk

SIM_BUSY_TRIES = 10
SIM_BUSY_S = 1.0
SAFE_ATTEMPTS = 2
"""With fewer left the PIN is not tried by machine: the last attempt belongs to a person."""
_ALWAYS = ("ATE0", "AT+CMEE=1")
_READY = (
    "AT+CMGF=0",  # messages as PDU: nothing in a message can look like a reply, and no character set to agree on
    "AT+CNMI=2,1,0,0,0",  # store what comes and tell where
)
_OPTIONAL = ("AT+CREG=1", "AT+CEREG=1", "AT+COPS=3,0")  # tell of changes; names of networks in words

_log = structlog.get_logger()


class Bringing:
    """One modem being brought up."""

    def __init__(self, talk: Talk, pin: Pin) -> None:
        self._talk = talk
        self._pin = pin

    async def up(self) -> tuple[Sim, str]:
        """Returns what the card says, and in words what is wrong. Raises ModemError when the modem does not answer."""
        for text in _ALWAYS:
            await self._talk.ask(Command(text=text))
        sim, why = await self.sim()
        if sim is Sim.READY:
            for text in _READY:
                await self._patiently(text)
        for text in _OPTIONAL:
            await self._talk.wonder(Command(text=text))
        return sim, why

    async def sim(self) -> tuple[Sim, str]:
        """What the card says; gives it its PIN when that may be tried."""
        for _ in range(SIM_BUSY_TRIES):
            answer = await self._talk.ask(Command(text="AT+CPIN?", prefix="+CPIN:"))
            if not answer.is_ok:
                error = refusal(answer.final)
                if error.reason is Reason.CONGESTED:  # a card takes some seconds after power
                    await asyncio.sleep(SIM_BUSY_S)
                    continue
                return _SIM_OF.get(error.reason, Sim.FAULTY), error.detail
            word = parameters(answer.lines[0])[0].upper() if answer.lines else ""
            match word:
                case "READY":
                    return Sim.READY, ""
                case "SIM PIN":
                    return await self._give_pin()
                case "SIM PUK":
                    return Sim.PUK_WANTED, "the SIM card is blocked and wants its PUK"
                case _:
                    return Sim.FAULTY, f"the SIM card wants something else: {word[:20] or 'it does not say'}"
        return Sim.FAULTY, "the SIM card is busy for ever"

    async def _give_pin(self) -> tuple[Sim, str]:
        pin, sim, why = await self._pin.usable()
        if not pin:
            return sim, why
        left = await self._attempts_left()
        if left is not None and left < SAFE_ATTEMPTS:
            return Sim.PIN_REFUSED, "only one attempt is left for the PIN: put the card into a phone and enter it there"
        await self._pin.trying()
        try:
            answer = await self._talk.ask(Command(text=f'AT+CPIN="{pin}"', timeout_s=20.0))
        except ModemError:
            return Sim.PIN_REFUSED, "the modem did not say whether the PIN is right"
        if not answer.is_ok:
            await self._pin.refused()
            _log.warning("sim_pin_refused", attempts_left=await self._attempts_left())
            return Sim.PIN_REFUSED, "the SIM card has refused the PIN"
        await self._pin.accepted()
        return Sim.READY, ""

    async def _attempts_left(self) -> int | None:
        """TS 27.007 §8.65; None when the modem does not tell."""
        answer = await self._talk.wonder(Command(text='AT+CPINR="SIM PIN"', prefix="+CPINR:"))
        is_told = answer is not None and answer.is_ok and answer.lines
        return number_at(parameters(answer.lines[0]), 1) if answer is not None and is_told else None

    async def _patiently(self, text: str) -> None:
        """After its PIN a card needs some seconds before it takes part. Raises ModemError."""
        for _ in range(SIM_BUSY_TRIES):
            answer = await self._talk.ask(Command(text=text))
            if answer.is_ok:
                return
            await asyncio.sleep(SIM_BUSY_S)
        raise ModemError(Reason.NO_MODEM, f"the modem does not take {text}")


_SIM_OF = {
    Reason.NO_SIM: Sim.ABSENT,
    Reason.SIM_PIN: Sim.PIN_WANTED,
    Reason.SIM_BLOCKED: Sim.PUK_WANTED,
    Reason.SIM_FAULT: Sim.FAULTY,
}
