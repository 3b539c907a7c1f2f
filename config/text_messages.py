"""What has to fit together so that texts can leave: a modem, what uses it, and a path that carries more than stubs."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cloud_sync.settings import ModemSettings

Report = Callable[..., None]


def check_modem(
    *, raw: Mapping[str, Any], modem: ModemSettings | None, uplinks: Mapping[str, Any], report: Report
) -> None:
    """Report an SMS path or an on-call phone without a modem, a modem that nothing uses, SMS as the only path."""
    by_sms = [name for name, one in uplinks.items() if one.type == "sms"]
    on_call = _has_on_call(raw)
    if "modem" not in raw:
        hint = 'add [modem] with port = "/dev/serial/by-id/..."'
        for name in by_sms:
            report(("uplinks", name), "goes by SMS, and there is no modem", hint)
        if on_call:
            report(("local_response", "on_call"), "texts a phone, and there is no modem", hint)
    elif modem is not None and not by_sms and not on_call:
        hint = 'add [uplinks.sms] with type = "sms" and central\'s number'
        report(("modem",), "nothing uses the modem", hint, severity="warning")
    for name in by_sms[1:]:
        report(("uplinks", name), f'central is reached by SMS already ("{by_sms[0]}")', "take one of the two out")
    if by_sms and len(by_sms) == len(uplinks):
        report(
            ("uplinks", by_sms[0]),
            "is the only path: a text tells that there is an alarm, and little more",
            'add [uplinks.main] with type = "https" and its url',
        )
    elif by_sms and list(uplinks)[-1] != by_sms[0]:
        report(
            ("uplinks", by_sms[0]),
            "stands before a path that carries whole alarms",
            "put it last: it is tried last in any case",
            severity="warning",
        )


def check_pin_file(file: Path, report: Report) -> None:
    """Report a PIN that cannot be read, or that everybody can."""
    key = ("modem", "pin_file")
    try:
        mode = file.stat().st_mode
    except PermissionError:
        mode = None
    except OSError:
        mode = 0
    if mode is not None and not stat.S_ISREG(mode):
        report(key, f"there is no file {file}", "write the PIN of the SIM card into it, or take the PIN off the card")
    elif mode is None or not os.access(file, os.R_OK, effective_ids=True):
        report(key, f"{file} may not be read by this user", "let the user that the hub runs as read it")
    elif mode & 0o004:
        report(key, f"{file} can be read by everybody", f"run: chmod o= {file}", severity="warning")


def _has_on_call(raw: Mapping[str, Any]) -> bool:
    table = raw.get("local_response")
    return isinstance(table, dict) and "on_call" in table
