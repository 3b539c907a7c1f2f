"""When something happened, by central's clock: a message that the network held for a while must not move it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from central.offsets import WINDOW_MS, Offset, Offsets
from cloud_sync.hub_messages import Sender
from cloud_sync.vocabulary import Stamp

TRUE_OFFSET = 1_795_000_000_000


def message(boot_ms, *, is_wall_trusted=True, wall_error=0):
    stamp = Stamp(boot_ms=boot_ms, wall_ms=TRUE_OFFSET + boot_ms + wall_error, is_wall_trusted=is_wall_trusted)
    return Sender(hub=b"hubhubhu", sender_epoch=b"epochepo", number=1, stamp=stamp)


def test_a_message_that_was_held_does_not_move_the_offset():
    offsets = Offsets()
    offsets.hear(message(1_000), TRUE_OFFSET + 1_004)
    held = offsets.hear(message(2_000), TRUE_OFFSET + 12_000)
    assert held == Offset(boot_ms=TRUE_OFFSET + 4, wall_ms=4)


def test_an_untrusted_wall_clock_teaches_nothing():
    found = Offsets().hear(message(1_000, is_wall_trusted=False, wall_error=-(10**10)), TRUE_OFFSET + 1_000)
    assert found == Offset(boot_ms=TRUE_OFFSET, wall_ms=None)


def test_a_clock_that_was_set_is_forgotten_after_two_windows():
    offsets = Offsets()
    offsets.hear(message(0), TRUE_OFFSET)
    step = 5_000
    for boot_ms in range(1_000, 3 * WINDOW_MS, 30_000):
        last = offsets.hear(message(boot_ms), TRUE_OFFSET + boot_ms + step)
    assert last.boot_ms == TRUE_OFFSET + step


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 4_000)), min_size=1, max_size=50))
def test_within_a_window_the_quickest_message_decides(pairs):
    offsets, boot_ms, delays = Offsets(), 0, []
    for step, delay in pairs:
        boot_ms += step
        delays.append(delay)
        found = offsets.hear(message(boot_ms), TRUE_OFFSET + boot_ms + delay)
        assert found.boot_ms == TRUE_OFFSET + min(delays)
