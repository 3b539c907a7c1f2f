"""What a modem can refuse, by the words that matter to whoever has to do something about it.

Numbers: 3GPP TS 27.005 §3.2.5 (`+CMS ERROR`; below 128 they are causes of TS 24.011) and TS 27.007 §9.2 (`+CME ERROR`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Why something did not work."""

    NO_MODEM = "no_modem"
    """Unplugged, switched off, or it does not answer."""
    NO_SIM = "no_sim"
    SIM_PIN = "sim_pin"
    """The card wants a PIN, and there is none or it was refused."""
    SIM_BLOCKED = "sim_blocked"
    """The card wants a PUK."""
    SIM_FAULT = "sim_fault"
    NO_NETWORK = "no_network"
    DENIED = "denied"
    """The network does not want this card, or does not let it send SMS."""
    BAD_NUMBER = "bad_number"
    """Nobody has this number, or no SMS reaches it."""
    NO_SERVICE_CENTRE = "no_service_centre"
    """The card does not name the operator's SMS centre."""
    STORAGE_FULL = "storage_full"
    CONGESTED = "congested"
    """The network cannot now, and may soon."""
    TIMEOUT = "timeout"
    """No answer in time. It may have been sent."""
    TOO_LONG = "too_long"
    BUSY = "busy"
    """Too much waits already."""
    REFUSED = "refused"
    """The modem says no and does not say why, or says something that is not for people."""


_CMS: Mapping[int, tuple[Reason, str]] = {
    1: (Reason.BAD_NUMBER, "nobody has this number"),
    8: (Reason.DENIED, "barred by the operator"),
    10: (Reason.DENIED, "the card may not send SMS"),
    21: (Reason.DENIED, "the network turned the message down"),
    27: (Reason.CONGESTED, "the other end cannot be reached"),
    28: (Reason.DENIED, "the network does not know this card"),
    29: (Reason.DENIED, "the network does not do this"),
    30: (Reason.BAD_NUMBER, "the network does not know this number"),
    38: (Reason.NO_NETWORK, "the network is out of order"),
    41: (Reason.CONGESTED, "the network has a passing fault"),
    42: (Reason.CONGESTED, "the network is overloaded"),
    47: (Reason.CONGESTED, "the network has no room"),
    50: (Reason.DENIED, "the subscription does not cover SMS"),
    69: (Reason.DENIED, "the network does not do this"),
    300: (Reason.REFUSED, "the modem has a fault"),
    301: (Reason.REFUSED, "something else uses the modem's SMS service"),
    302: (Reason.REFUSED, "the modem does not allow this now"),
    303: (Reason.REFUSED, "the modem cannot do this"),
    304: (Reason.REFUSED, "the modem does not understand the message"),
    305: (Reason.REFUSED, "the modem does not understand the message"),
    310: (Reason.NO_SIM, "there is no SIM card"),
    311: (Reason.SIM_PIN, "the SIM card wants its PIN"),
    312: (Reason.SIM_FAULT, "the modem is locked to another SIM card"),
    313: (Reason.SIM_FAULT, "the SIM card does not work"),
    314: (Reason.CONGESTED, "the SIM card is busy"),
    315: (Reason.SIM_FAULT, "this SIM card is not accepted"),
    316: (Reason.SIM_BLOCKED, "the SIM card is blocked and wants its PUK"),
    320: (Reason.STORAGE_FULL, "the message storage has a fault"),
    322: (Reason.STORAGE_FULL, "the message storage is full"),
    330: (Reason.NO_SERVICE_CENTRE, "the number of the operator's SMS centre is not set"),
    331: (Reason.NO_NETWORK, "there is no network"),
    332: (Reason.CONGESTED, "the network did not answer in time"),
}
_CME: Mapping[int, tuple[Reason, str]] = {
    3: (Reason.REFUSED, "the modem does not allow this now"),
    4: (Reason.REFUSED, "the modem cannot do this"),
    10: (Reason.NO_SIM, "there is no SIM card"),
    11: (Reason.SIM_PIN, "the SIM card wants its PIN"),
    12: (Reason.SIM_BLOCKED, "the SIM card is blocked and wants its PUK"),
    13: (Reason.SIM_FAULT, "the SIM card does not work"),
    14: (Reason.CONGESTED, "the SIM card is busy"),
    15: (Reason.SIM_FAULT, "this SIM card is not accepted"),
    16: (Reason.SIM_PIN, "the PIN is wrong"),
    20: (Reason.STORAGE_FULL, "the message storage is full"),
    26: (Reason.BAD_NUMBER, "the number is too long"),
    27: (Reason.BAD_NUMBER, "the number has signs that no number has"),
    30: (Reason.NO_NETWORK, "there is no network"),
    31: (Reason.CONGESTED, "the network did not answer in time"),
    32: (Reason.DENIED, "the network allows emergency calls only"),
}


class ModemError(Exception):
    """The modem could not. `reason` is for programs, the text for people; `code` is the modem's number, if it gave one.

    A number to send to and the text to send are never in it.
    """

    def __init__(self, reason: Reason, detail: str = "", *, code: int | None = None) -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
        self.code = code


def refusal(line: str) -> ModemError:
    """What a final result other than OK means: `ERROR`, `+CMS ERROR: 331`, `+CME ERROR: SIM busy`."""
    head, _, rest = line.partition(":")
    rest = rest.strip()
    code = int(rest) if rest.isascii() and rest.isdigit() and len(rest) < 6 else None
    table = _CMS if head.startswith("+CMS") else _CME if head.startswith("+CME") else {}
    if code is not None and code in table:
        reason, words = table[code]
        return ModemError(reason, f"{words} ({head} {code})", code=code)
    return ModemError(Reason.REFUSED, line[:60], code=code)
