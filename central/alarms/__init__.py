"""What people do with alarms. Every act is one transaction, returns the new state, and leaves a log entry.

Whoever comes second gets a `Conflict` that names who has it; nothing is overwritten in silence. An act first locks its
alarm, then asks the tables of `central.lifecycle`, so that any number of consoles and processes may try at once.
"""

from __future__ import annotations

from central.alarms.calling import Calling
from central.alarms.choosing import Choosing
from central.alarms.deferring import Deferring
from central.alarms.dispatching import Dispatching
from central.alarms.handing_over import HandingOver
from central.alarms.handling import Handling
from central.alarms.judging import Judging
from central.alarms.looking import Looking
from central.alarms.noting import Noting
from central.alarms.reading import Reading
from central.alarms.sweeping import Sweeping
from central.opened import digest_of

__all__ = ["Alarms", "digest_of"]


class Alarms(
    Looking, Reading, Choosing, Handling, Deferring, HandingOver, Dispatching, Calling, Judging, Noting, Sweeping
):
    """The alarms of one central."""
