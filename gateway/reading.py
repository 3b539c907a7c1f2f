"""The settings are read by a process of their own, which ends: the daemon keeps values and none of what checked them.

Reading needs pydantic, its schemas of everything that settings can say, and the drivers' own; that is a sixth of a
hub's memory, for something that is done once. So a child reads, counts the start, hands over what `start.prepare` gives
and is gone. What it has to say to people it says itself.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from gateway.errors import HubError
from ground import bare

if TYPE_CHECKING:
    from gateway.start import Start

OK, FAILED, MISUSED = 0, 1, 2


class ReadingError(HubError):
    """The process that reads the settings was ended before it was done."""


def start_of(config: Path, *, meanwhile: Callable[[], object] = lambda: None) -> Start:
    """See `start.prepare`. What cannot be used has been said when this exits. Raises SystemExit, ReadingError.

    `meanwhile` is what else has to be done before there can be a start: importing the rest, on a processor of its own.
    """
    if "pydantic" in sys.modules:  # there is nothing left to spare
        return _read_here(config)
    receiving, sending = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.close(receiving)
        _hand_over(config, sending)
    os.close(sending)
    bare.want()
    meanwhile()
    with os.fdopen(receiving, "rb") as pipe:
        content = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        raise ReadingError(f"the process that reads the settings was ended by signal {-status}; start the hub again")
    if status:
        raise SystemExit(status)
    return cast("Start", pickle.loads(content))  # noqa: S301  # our own child wrote it


def _read_here(config: Path) -> Start:
    from config import SettingsError
    from gateway.start import prepare

    try:
        return prepare(config)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a person started it, or the service's journal keeps it
        raise SystemExit(MISUSED) from None


def _hand_over(config: Path, sending: int) -> NoReturn:
    """The child's whole life. It leaves without the interpreter's own end, which belongs to the parent."""
    status = FAILED
    try:
        start = _read_here(config)
        with os.fdopen(sending, "wb") as pipe:
            pickle.dump(start, pipe)
        status = OK
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else FAILED
    except BaseException:  # noqa: BLE001  # it is told, and the status says the rest
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
